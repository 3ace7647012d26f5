import inspector from 'node:inspector';
import { Worker, isMainThread } from 'node:worker_threads';
import fs from 'node:fs';
import { torture, newTally } from '../src/crash-driver.js';
const session = new inspector.Session(); session.connect();
session.post('Profiler.enable'); session.post('Profiler.setSamplingInterval',{interval:1000}); session.post('Profiler.start');
let n=0; const t0=Date.now();
const orig = Promise.prototype.then;
// stop after 8 s by a check in a hot path
const realNow = performance.now.bind(performance);
const tally=newTally();

const mods:any[] = [[(await import('../../save-volume/src/allocator.js') as any).Allocator,['allocate','release','take']],[(await import('../../save-volume/src/save-volume.js') as any).SaveVolume,['reserve','commit','throttle','reserveSlowly','find','readSaved']],[(await import('../../save-volume/src/held-blocks.js') as any).HeldBlocks,['get','begin','fill']]];
for (const [C,ks] of mods) for (const k of ks) { const f=C.prototype[k]; C.prototype[k]=function(...a:any[]){ const pr=tally.images+tally.recoveryImages*1e4+tally.survivors*1e8; if(pr!==(globalThis as any).pr){(globalThis as any).pr=pr;(globalThis as any).pt=Date.now();} if(++n%100===0 && Date.now()-(globalThis as any).pt>6000){ console.log(k, a, n, new Error().stack, JSON.stringify(tally)); process.exit(1);} return f.apply(this,a);} }
const A=mods[0][0];
const g=A.prototype.allocate; A.prototype.allocate=async function(c:number){ const st={c,free:this.free,total:this.totalBlocks,used:this.used}; (globalThis as any).last=st; fs.writeFileSync('/tmp/last.json',JSON.stringify(st)); const r= await g.call(this,c); fs.writeFileSync('/tmp/last.json','done'+JSON.stringify(st)); return r;};
await torture(Number(process.argv[2]), {operations:60,everyPoint:1,policies:7,nestedEvery:40,continueEvery:16,continueOperations:30}, new Set(), tally);
console.log('ok');

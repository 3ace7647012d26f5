/** One row of the in-process benchmarks, in this process: `child.mjs INDEX quick|full`. */
import { ROWS } from './rows.mjs';

const [index, how] = process.argv.slice(2);
const say = (line) => process.send({ line });
const findings = await ROWS[Number(index)].run({ quick: how === 'quick', say });
process.send({ findings }, () => process.disconnect());

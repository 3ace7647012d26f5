/** The suite on everything in this package that is a device, the simulated ones included. */
import { describe, expect, test } from 'vitest';
import {
  type BlockDevice,
  checked,
  concat,
  createMemoryDevice,
  readOnly,
  slice,
} from '../src/index.js';
import {
  blockDeviceCases,
  type ConformanceCase,
  createCrashWorld,
  createRandom,
  type DeviceFixture,
  type FailingDevice,
  failing,
  jitter,
  type ReadOnlyFixture,
  readOnlyDeviceCases,
} from '../src/testing/index.js';

function run<F>(name: string, cases: readonly ConformanceCase<F>[], fixture: F): void {
  describe(name, () => {
    for (const { name, run, skip } of cases) {
      const reason = skip?.(fixture);
      test.skipIf(reason !== undefined)(reason ? `${name} (${reason})` : name, () => run(fixture));
    }
  });
}

/** Puts a `failing` overlay over each device that `make` makes, for D5 and D6. */
function withFaults(make: () => BlockDevice): DeviceFixture {
  const handles = new WeakMap<BlockDevice, FailingDevice>();
  return {
    async create() {
      const handle = failing(make());
      handles.set(handle.device, handle);
      return handle.device;
    },
    reopen: { unsupported: 'memory forgets on close' },
    failFlush: (device) => handles.get(device)?.fail({ call: 'flush', nth: 1 }),
    failWrite: (device) =>
      handles.get(device)?.fail({ call: 'write', nth: 1, code: 'ERR_NO_SPACE' }),
  };
}

const forgets = { unsupported: 'memory forgets on close' };
const memory = (blockSize: number, blocks: number): BlockDevice =>
  createMemoryDevice({ blockSize, size: blockSize * blocks });

for (const blockSize of [512, 4096, 65_536]) {
  run(`memory, ${blockSize}-byte blocks`, blockDeviceCases, {
    create: async () => memory(blockSize, 40),
    reopen: forgets,
  });
}
run(
  'failing over memory',
  blockDeviceCases,
  withFaults(() => memory(512, 16)),
);
run('slice over memory', blockDeviceCases, {
  create: async () => slice(memory(512, 40), 5 * 512, 24 * 512),
  reopen: forgets,
});
run('concat over memory', blockDeviceCases, {
  create: async () => concat([memory(512, 3), memory(512, 1), memory(512, 20)]),
  reopen: forgets,
});
run('slice over concat over failing', blockDeviceCases, {
  ...withFaults(() => slice(concat([memory(512, 9), memory(512, 9)]), 512, 16 * 512)),
});
run('a driver with nothing optional', blockDeviceCases, {
  async create() {
    const { blockSize, size, readOnly, ...rest } = bound(memory(512, 16));
    return checked({ blockSize, size, readOnly, ...rest });
  },
  reopen: forgets,
});
for (const seed of [1, 2, 3]) {
  run(`jitter over memory, seed ${seed}`, blockDeviceCases, {
    create: async () => jitter(memory(512, 16), { random: createRandom(seed) }),
    reopen: forgets,
  });
  for (const jittered of [false, true]) {
    const options = jittered ? { jitter: { random: createRandom(seed) } } : {};
    run(`disk of a crash world, seed ${seed}, jitter ${jittered}`, blockDeviceCases, {
      ...crashFixture(seed, options),
      reopen: forgets,
    });
    run(`disk after a power cut, seed ${seed}, jitter ${jittered}`, blockDeviceCases, {
      ...crashFixture(seed, options),
    });
  }
}

const content = createRandom(4).fill(new Uint8Array(16 * 512));
async function filled(): Promise<BlockDevice> {
  const device = memory(512, 16);
  await device.write(content, 0);
  return device;
}
const views: Record<string, () => Promise<ReadOnlyFixtureResult>> = {
  'readOnly over memory': async () => ({ device: readOnly(await filled()), content }),
  'slice over readOnly': async () => ({
    device: slice(readOnly(await filled()), 512, 8 * 512),
    content: content.subarray(512, 9 * 512),
  }),
  'concat with a read-only part': async () => ({
    device: concat([await filled(), readOnly(await filled())]),
    content: Uint8Array.from([...content, ...content]),
  }),
  'jitter over readOnly': async () => ({
    device: jitter(readOnly(await filled()), { random: createRandom(1) }),
    content,
  }),
};
type ReadOnlyFixtureResult = Awaited<ReturnType<ReadOnlyFixture['open']>>;
for (const [name, open] of Object.entries(views)) run(name, readOnlyDeviceCases, { open });

test('every line D1..D12 has a case', () => {
  const lines = [...blockDeviceCases, ...readOnlyDeviceCases].flatMap(
    ({ name }) => name.match(/\bD\d+/g) ?? [],
  );
  for (let line = 1; line <= 12; line++) expect(lines).toContain(`D${line}`);
});

/** Reopens by a power cut that loses all it may: what was flushed must be there all the same. */
function crashFixture(seed: number, options: object): DeviceFixture {
  const worlds = new WeakMap<BlockDevice, ReturnType<typeof createCrashWorld>>();
  return {
    async create() {
      const world = createCrashWorld({ seed });
      const device = world.device('disk', { size: 24 * 512, ...options });
      worlds.set(device, world);
      return device;
    },
    async reopen(device) {
      const world = worlds.get(device);
      if (world === undefined) throw new Error('not a device of this fixture');
      return world.crash(world.point, { kind: 'none' }).device('disk');
    },
    failFlush: (device) => worlds.get(device)?.failNextFlush('disk'),
  };
}

/** The required methods alone. */
function bound(device: BlockDevice) {
  return {
    blockSize: device.blockSize,
    size: device.size,
    readOnly: false,
    readInto: device.readInto.bind(device),
    write: device.write.bind(device),
    flush: device.flush.bind(device),
    close: device.close.bind(device),
  };
}

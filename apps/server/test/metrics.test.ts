/**
 * Goal: the daemon tells what writes cost, as JSON and for Prometheus, to who has the token; and
 * docs/METRICS.md names every metric with its meaning. Method: real requests, and the page compared.
 */
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { METRICS } from '../src/metric-table.js';
import { type RunningServer, serveStore } from '../src/serve-store.js';
import type { ServiceMetrics } from '../src/service.js';
import { readToken } from '../src/token.js';
import { scratchStore } from './scratch.js';

const BLOCK = 4096;
const PAGE = new URL('../../../docs/METRICS.md', import.meta.url);

let server: RunningServer;
let token: string;

beforeEach(async () => {
  const directory = await scratchStore();
  server = await serveStore({ dir: directory });
  token = await readToken(directory);
});
afterEach(() => server.close());

async function get(
  path: string,
  authorization = `Bearer ${token}`,
): Promise<{ status: number; type: string; text: string }> {
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const { controlSocket: socketPath } = server.addresses;
    http
      .get(
        { socketPath, path, agent: false, headers: { host: 'localhost', authorization } },
        resolve,
      )
      .on('error', reject);
  });
  let text = '';
  for await (const part of response.setEncoding('utf8')) text += part;
  return { status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', text };
}

/** A hundred blocks written, a snapshot, sixty of them written again; twenty in a branch. */
async function work(): Promise<void> {
  const { store } = server;
  await store.createVolume({ name: 'prod', size: 128 * BLOCK });
  const write = async (reference: string, blocks: number, fill: number): Promise<void> => {
    const opened = await store.openExport(reference);
    for (let block = 0; block < blocks; block += 1) {
      await opened.device.write(new Uint8Array(BLOCK).fill(fill), block * BLOCK);
    }
    await opened.device.flush();
    await opened.release();
  };
  await write('prod', 100, 1);
  await store.createSnapshot({ volume: 'prod', name: 'monday' });
  await write('prod', 60, 2);
  await store.createBranch({ name: 'dev', from: 'prod@monday' });
  await write('prod/dev', 20, 3);
}

test('without the token nothing is told', async () => {
  for (const path of ['/metrics', '/v1/metrics']) {
    const refused = await get(path, 'Bearer no');
    expect(refused.status).toBe(401);
    expect(refused.text).not.toContain('palimpsest_');
  }
});

test('as JSON: what the store says, and the daemon', async () => {
  await work();
  const answer = await get('/v1/metrics');
  expect(answer).toMatchObject({ status: 200, type: expect.stringContaining('application/json') });
  const metrics = JSON.parse(answer.text) as ServiceMetrics;
  expect(metrics).toMatchObject({
    volumes: [{ reference: 'prod', firstWrittenBlocks: 60, copiedOutBlocks: 60 }],
    branches: [{ reference: 'prod/dev', storedBlocks: 20 }],
    save: { dataBytes: 80 * BLOCK },
    service: { clients: 0 },
  });
  expect(metrics.service?.cpuSeconds).toBeGreaterThan(0);
});

test('for Prometheus: every sample is of a metric with its kind and meaning', async () => {
  await work();
  const { status, type, text } = await get('/metrics');
  expect(status).toBe(200);
  expect(type).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(text.endsWith('\n')).toBe(true);
  const lines = text.trimEnd().split('\n');
  let known = '';
  for (const line of lines) {
    const described = /^# (HELP|TYPE) ([a-z][a-z0-9_]*) (.+)$/.exec(line);
    if (described !== null) {
      known = described[2] ?? '';
      continue;
    }
    expect(line).toMatch(/^[a-z][a-z0-9_]*(\{[a-z]+="[^"\\]+"(,[a-z]+="[^"\\]+")*\})? [0-9.e+-]+$/);
    expect(line.split(/[{ ]/)[0]).toBe(known);
  }
  expect(lines).toContain('# TYPE palimpsest_volume_copied_out_blocks_total counter');
  expect(lines).toContain('palimpsest_volume_copied_out_blocks_total{volume="prod"} 60');
  expect(lines).toContain(`palimpsest_volume_written_bytes_total{volume="prod"} ${160 * BLOCK}`);
  expect(lines).toContain('palimpsest_branch_stored_blocks_total{volume="prod",branch="dev"} 20');
  expect(lines).toContain(`palimpsest_save_written_bytes_total{part="data"} ${80 * BLOCK}`);
  expect(lines).toContain('# TYPE palimpsest_write_amplification_ratio gauge');
  for (const { name } of METRICS) expect(text).toContain(`# HELP ${name} `);
});

test('docs/METRICS.md names every metric, with its meaning and labels', async () => {
  await work();
  const metrics = JSON.parse((await get('/v1/metrics')).text) as ServiceMetrics;
  const rows = METRICS.map(({ name, help, samples }) => {
    const [sample] = samples(metrics);
    const labels = Object.keys(sample?.labels ?? {}).map((label) => `\`${label}\``);
    return `| \`${name}\` | ${labels.join(', ')} | ${help} |`;
  });
  const page = (await readFile(PAGE, 'utf8')).split('\n');
  expect(page.filter((line) => /^\| `(palimpsest|process)_/.test(line))).toEqual(rows);
});

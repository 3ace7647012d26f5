/** The metrics of a store in the text format of Prometheus, version 0.0.4. */
import { METRICS } from './metric-table.js';
import type { ServiceMetrics } from './service.js';

/** The content type of the text. */
export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** The text. A metric without a value is left out. */
export function prometheusText(metrics: ServiceMetrics): string {
  const lines: string[] = [];
  for (const { name, help, samples } of METRICS) {
    const known = samples(metrics).filter(({ value }) => value !== null);
    if (known.length === 0) continue;
    const type = name.endsWith('_total') ? 'counter' : 'gauge';
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const { labels = {}, value } of known) lines.push(`${name}${inBraces(labels)} ${value}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Labels are names of things in the store: nothing in them needs to be escaped. */
function inBraces(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

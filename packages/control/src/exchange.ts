/** The verbs for differences, space and exchange, put together for one open store. */
import type { StoreContext } from './context.js';
import { depths, differences } from './differences.js';
import type { ExchangeVerbs } from './exchange-types.js';
import { exportChanges } from './export-changes.js';
import { type ImportMeans, importChanges } from './import-changes.js';
import { watchSpace } from './space-forecast.js';
import { deletionGain, spaceInfos } from './space-info.js';
import type { OpenExport } from './store-types.js';
import { unfinishedImport } from './unfinished-imports.js';

/** How often the use of the save volume is looked at. */
const SAMPLE_PERIOD_MS = 60_000;

/** What the verbs need of the store. */
export interface ExchangeMeans extends ImportMeans {
  readonly open: (reference: string) => Promise<OpenExport>;
}

/** Makes the verbs; `stop` ends the watch over the space. */
export function createExchange(
  context: StoreContext,
  means: ExchangeMeans,
): { readonly verbs: ExchangeVerbs; stop(): void } {
  const { environment, save, index } = context;
  const watch = watchSpace();
  const sample = (): void => watch.sample(environment.now(), save.space());
  sample();
  const stop = environment.every(SAMPLE_PERIOD_MS, sample);
  const verbs: ExchangeVerbs = {
    diff: (a, b) => differences(context, a, b),
    depths: (reference, position, length) => depths(context, reference, position, length),
    async spaceOf(references) {
      context.assertGoingOn();
      return spaceInfos(context, references);
    },
    async deletionGain(references) {
      context.assertGoingOn();
      return deletionGain(context, references);
    },
    forecast() {
      context.assertGoingOn();
      return watch.forecast(environment.now(), save.space());
    },
    exportChanges: (reference, options = {}) =>
      exportChanges(context, means.open, reference, options),
    importChanges: (stream, options) => importChanges(context, means, stream, options),
    unfinishedImports() {
      context.assertGoingOn();
      return index.volumes().flatMap((volume) => unfinishedImport(volume) ?? []);
    },
  };
  return { verbs, stop };
}

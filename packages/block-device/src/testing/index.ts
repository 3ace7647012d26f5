/**
 * For tests of anything that is a BlockDevice or stands on one: the conformance suite, and the
 * simulator of everything that can go wrong beneath (crashes, delays, failing calls, damage).
 * Code that ships never imports this.
 */
export type {
  ConformanceCase,
  DeviceFixture,
  ReadOnlyFixture,
  Unsupported,
} from './conformance.js';
export { blockDeviceCases, readOnlyDeviceCases } from './conformance.js';
export type { CrashPolicy, PolicyOptions, Tear } from './crash-policy.js';
export type { CrashGeometry, CrashWorld, TraceObserver } from './crash-world.js';
export { createCrashWorld } from './crash-world.js';
export type { FailingDevice, Fault, FaultyCall } from './failing.js';
export { failing } from './failing.js';
export type { JitterOptions } from './jitter.js';
export { jitter, POISON } from './jitter.js';
export type { Random } from './random.js';
export { createRandom } from './random.js';
export type { SaveFirstMonitor } from './save-first.js';
export { watchSaveFirst } from './save-first.js';
export type { Sector } from './sectors.js';
export type { StalledCall, StallingDevice } from './stalling.js';
export { stalling } from './stalling.js';
export type { ChangeEvent, FlushEvent, PendingChange, TraceEvent } from './trace.js';
export { isChange } from './trace.js';

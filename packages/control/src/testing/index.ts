/** What tests of a store, and of what stands on one, need of a machine. */
export { createMemoryMachine, type MemoryMachine } from './memory-machine.js';

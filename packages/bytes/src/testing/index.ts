/**
 * For tests of formats: tables in documents that are those of the code.
 */
export type { TableOptions } from './document.js';
export { withSection, withTables } from './document.js';

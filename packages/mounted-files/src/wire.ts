export { FileError } from './file-error.js';

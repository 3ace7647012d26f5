import { mergeConfig } from 'vitest/config';
import shared from '../vitest.shared.ts';

/** The checks of the repository itself: layers, tidiness, and the scripts that CI runs. */
export default mergeConfig(shared, { test: { name: 'scripts', include: ['*.test.ts'] } });

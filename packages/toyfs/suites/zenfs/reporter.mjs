/**
 * A reporter of node:test: one line of JSON for each test that is no suite.
 */
async function* reporter(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details?.type === 'suite') continue;
    const { name, skip, todo, details, file } = data;
    if (name === file) continue;
    const failure = details?.error?.cause ?? details?.error;
    const state = skip !== undefined ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed';
    const reason = state === 'skipped' ? skip : (failure?.message ?? failure);
    yield `${JSON.stringify({ name, state, todo, reason: String(reason ?? '').split('\n')[0] })}\n`;
  }
}

export { reporter as default };

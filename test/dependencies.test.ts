// The runtime dependencies are few and chosen: docs/decisions/dependencies.md says why each is there. A new one changes this list on purpose.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

test('the runtime dependencies are these and no others, pinned', () => {
  const { dependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  expect(Object.keys(dependencies)).toEqual(['commander', 'diff', 'handlebars', 'pino', 'yaml', 'zod']);
  for (const version of Object.values(dependencies)) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});

// docs/decisions/tags.md against the program: the order is one table.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { order } from '../../src/overlay/tags.ts';

it('docs/decisions/tags.md has the order that the program ranks by', () => {
  const text = readFileSync(new URL('../../docs/decisions/tags.md', import.meta.url), 'utf8');
  const rows = text.split('\n').flatMap((line) => {
    const [, rank, tag, fits] = /^\| (\d+) \| (\S+) \| (.*) \|$/.exec(line) ?? [];
    return rank === undefined ? [] : [[Number(rank), tag, fits]];
  });
  const programs = order.map(({ tag, fits }, index) => [index + 1, `\`${tag}\``, fits]);
  expect(rows).toEqual([...programs, [order.length + 1, 'none', 'the plain name, unless `$$ALWAYS=...$$` hides it']]);
});

// docs/reference/events.md against the source: every event that is logged is in it with its level and fields, and nothing else is.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { collect, top } from './logged.ts';

interface Documented {
  readonly event: string;
  readonly levels: readonly string[];
  readonly row: string;
}

/** Rows of the tables: | `event` | level, level | `field` ... | sentence | */
function documented(): readonly Documented[] {
  const text = readFileSync(join(top, 'docs/reference/events.md'), 'utf8');
  return text.split('\n').flatMap((row) => {
    const [, event, levels] = /^\| `([a-z-]+\.[a-z_-]+)` \| ([a-z, ]+) \|/.exec(row) ?? [];
    return event === undefined || levels === undefined ? [] : [{ event, levels: levels.split(', '), row }];
  });
}

describe('docs/reference/events.md', () => {
  const { logged, unclear } = collect();
  const rows = documented();

  it('can be compared with every log call of the source', () => {
    expect(unclear).toEqual([]);
    expect(logged.length).toBeGreaterThan(50);
  });

  it('has every event of the source', () => {
    const absent = logged.filter(({ event }) => !rows.some((row) => event.test(row.event)));
    expect(absent.map(({ place, event }) => `${place}: ${event.source}`)).toEqual([]);
  });

  it('has no event that is not in the source', () => {
    const gone = rows.filter((row) => !logged.some(({ event }) => event.test(row.event)));
    expect(gone.map(({ event }) => event)).toEqual([]);
  });

  it('has every event once', () => {
    expect(rows.map(({ event }) => event).filter((event, index, all) => all.indexOf(event) !== index)).toEqual([]);
  });

  it('gives the levels and fields of the source', () => {
    // A name that stands in the source is none of those that a pattern makes.
    const isNamed = (name: string): boolean => logged.some(({ event, isPattern }) => !isPattern && event.test(name));
    const wrong = logged.flatMap(({ place, event, isPattern, level, fields }) =>
      rows
        .filter((row) => event.test(row.event) && !(isPattern && isNamed(row.event)))
        .flatMap(({ event: name, levels, row }) => [
          ...(level !== undefined && !levels.includes(level) ? [`${place}: ${name} is logged as ${level}`] : []),
          ...fields.filter((field) => !row.includes(`\`${field}\``)).map((field) => `${place}: ${name} has ${field}`),
        ]),
    );
    expect(wrong).toEqual([]);
  });
});

// docs/reference/errors.md against the source: every code of a FarmError is in it once, and nothing else is.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemHints } from '../../src/cli/report.ts';
import { top } from './logged.ts';
import { collectThrown } from './thrown.ts';

/** Rows of the tables: | `code`, `code` | when | what to do | */
function documented(): readonly { readonly code: string; readonly row: string }[] {
  const text = readFileSync(join(top, 'docs/reference/errors.md'), 'utf8');
  return text.split('\n').flatMap((row) => {
    const [, codes] = /^\| ((?:`[^`]+`(?:, )?)+) \|/.exec(row) ?? [];
    return codes === undefined ? [] : [...codes.matchAll(/`([^`]+)`/g)].map(([, code = '']) => ({ code, row }));
  });
}

describe('docs/reference/errors.md', () => {
  const { thrown, unclear } = collectThrown();
  const rows = documented();
  const known = new Set(rows.map(({ code }) => code));
  /** Told by report.ts for errors that are no FarmError. */
  const others = [...Object.keys(systemHints), 'internal'];

  it('can be compared with every FarmError of the source', () => {
    expect(unclear).toEqual([]);
    expect(thrown.length).toBeGreaterThan(250);
  });

  it('has every code of the source', () => {
    expect(thrown.filter(({ code }) => !known.has(code)).map(({ place, code }) => `${place}: ${code}`)).toEqual([]);
    expect(others.filter((code) => !known.has(code))).toEqual([]);
  });

  it('has no code that is not in the source', () => {
    const real = new Set([...thrown.map(({ code }) => code), ...others]);
    expect([...known].filter((code) => !real.has(code))).toEqual([]);
  });

  it('has every code once, with when and what to do', () => {
    expect(rows.map(({ code }) => code).filter((code, index, all) => all.indexOf(code) !== index)).toEqual([]);
    expect(rows.filter(({ row }) => !/^\|[^|]+\|[^|]*\w[^|]*\|[^|]*\w[^|]*\|$/.test(row)).map(({ row }) => row)).toEqual([]);
  });
});

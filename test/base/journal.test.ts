import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Journal, readJournal } from '../../src/base/journal.ts';

function open(path: string): { journal: Journal<number>; replayed: number[] } {
  const replayed: number[] = [];
  return { replayed, journal: Journal.open<number>(path, (entry) => replayed.push(entry)) };
}

function newPath(): string {
  return join(mkdtempSync(join(tmpdir(), 'farm-test-')), 'journal');
}

describe('a journal', () => {
  it('gives back what was appended, in order, also to a reader beside it', async () => {
    const path = newPath();
    const { journal } = open(path);
    for (const entry of [1, 2, 3]) journal.append(entry);
    expect([...readJournal(path)]).toEqual([1, 2, 3]);
    await journal.close();
    expect(open(path).replayed).toEqual([1, 2, 3]);
    expect(journal.size).toBe(statSync(path).size);
  });

  it('loses a line cut off at any byte, that line only, and goes on after it', () => {
    const whole = '10\n200\n3000\n';
    for (let length = 0; length <= whole.length; length++) {
      const path = newPath();
      writeFileSync(path, whole.slice(0, length));
      const { journal, replayed } = open(path);
      const expected = whole.slice(0, length).split('\n').slice(0, -1).map(Number);
      expect(replayed).toEqual(expected);
      journal.append(7);
      expect([...readJournal(path)]).toEqual([...expected, 7]);
    }
  });

  it('names the line that is damaged', () => {
    const path = newPath();
    writeFileSync(path, '1\n{\n3\n');
    expect(() => open(path)).toThrow(/journal line 2 is not valid JSON/);
  });

  it('is replaced whole by compaction, and appended to after', async () => {
    const path = newPath();
    const { journal } = open(path);
    for (let entry = 0; entry < 5000; entry++) journal.append(entry);
    const pending = journal.stable();
    journal.compact([1, 2]);
    journal.append(3);
    await pending;
    await journal.close();
    expect(readFileSync(path, 'utf8')).toBe('1\n2\n3\n');
  });

  it('goes on while it is replaced in turns: what was appended meanwhile follows, and what is stable is in the file that has the name', async () => {
    const path = newPath();
    const { journal } = open(path);
    for (let entry = 0; entry < 5000; entry++) journal.append(entry);
    let appended = 0;
    let isDone = false;
    const replaced = journal.compactInTurns(Array.from({ length: 1000 }, (_, index) => -1 - index)).then(() => {
      isDone = true;
    });
    for (; !isDone; appended++) {
      journal.appendAll([10_000 + appended, 20_000 + appended]);
      await journal.stable();
      expect([...readJournal(path)].slice(-2)).toEqual([10_000 + appended, 20_000 + appended]);
    }
    await replaced;
    expect(appended).toBeGreaterThan(0);
    journal.append(7);
    await journal.close();
    const later = Array.from({ length: appended }, (_, index) => [10_000 + index, 20_000 + index]).flat();
    expect([...readJournal(path)]).toEqual([...Array.from({ length: 1000 }, (_, index) => -1 - index), ...later, 7]);
    expect(journal.size).toBe(statSync(path).size);
  });

  it('that is closed while it is replaced in turns ends as the new file', async () => {
    const path = newPath();
    const { journal } = open(path);
    for (let entry = 0; entry < 5000; entry++) journal.append(entry);
    const replaced = journal.compactInTurns([1, 2]);
    journal.append(3);
    await journal.close();
    await replaced;
    expect(readFileSync(path, 'utf8')).toBe('1\n2\n3\n');
  });

  it('keeps the old file, and what was appended meanwhile, when it cannot be replaced in turns', async () => {
    const path = newPath();
    const { journal } = open(path);
    journal.append(1);
    const failing = function* (): Iterable<number> {
      for (let entry = 0; entry < 1000; entry++) yield entry;
      throw new Error('no');
    };
    const replaced = journal.compactInTurns(failing());
    journal.append(2);
    await expect(replaced).rejects.toThrow('no');
    journal.append(3);
    await journal.stable();
    expect([...readJournal(path)]).toEqual([1, 2, 3]);
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  it('keeps the old file when what it is to be replaced by cannot be made', () => {
    const path = newPath();
    const { journal } = open(path);
    journal.append(1);
    const failing = function* (): Iterable<number> {
      yield 2;
      throw new Error('no');
    };
    expect(() => journal.compact(failing())).toThrow('no');
    journal.append(3);
    expect([...readJournal(path)]).toEqual([1, 3]);
  });

  it('syncs once for all that wait', async () => {
    const path = newPath();
    const { journal } = open(path);
    journal.append(1);
    const waiting = Array.from({ length: 100 }, () => journal.stable());
    expect(new Set(waiting).size).toBeLessThanOrEqual(2);
    await Promise.all(waiting);
    await journal.close();
  });
});

// The promise of openMosix: three machines, jobs of one that spread by themselves and are moved by hand, while their user sees one machine.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lab } from '../../src/lab/lab.ts';
import { farm, labOf, makeFarm, onConsole, until } from '../support/farm-under-test.ts';

const bootSeconds = 400;
const names = ['n1', 'n2', 'n3'];

let directory: string;
let lab: Lab;
const n1 = (line: string, seconds = 120) => onConsole(lab, 'n1', line, seconds);

beforeAll(async () => {
  directory = makeFarm('migration-test');
  farm(directory, 'add-node', ...names.map((_, index) => `52-54-00-AA-01-0${index + 1}`));
  lab = await labOf(directory);
  await until(directory, names, ({ stage }) => stage === 'up', bootSeconds);
  for (const name of names) await onConsole(lab, name, 'until journalctl -u farm-agent | grep -q migration.started; do sleep 1; done', 180);
});

afterAll(async () => {
  await lab?.down();
});

describe('mosrun', () => {
  it('is, to whoever starts it, the program itself', async () => {
    expect(await n1('echo word | mosrun sh -c "read x; echo got \\$x; echo bad >&2; exit 7" 2>/run/errors; echo status $?; cat /run/errors')).toBe(
      'got word\nstatus 7\nbad',
    );
  });

  it('runs a program on another node with the files, the name and the directory of its home', async () => {
    expect(await n1('cd /tmp; echo mine > here.txt; mosrun -2 sh -c "hostname; pwd; cat here.txt; echo more >> here.txt"; cat here.txt')).toBe(
      'n1\n/tmp\nmine\nmine\nmore',
    );
  });
});

describe('migrate', () => {
  it('moves a job to and fro; nothing that it writes is lost or doubled', async () => {
    const job = 'mosrun -L sh -c "i=0; while [ \\$i -lt 400 ]; do i=\\$((i+1)); echo \\$i; sleep 0.1; done" > /run/count & P=$!';
    const move = (to: string, at: string) =>
      `migrate $P ${to}; for t in $(seq 60); do [ "$(cat /hpc/jobs/$P/where)" = ${at} ] && break; sleep 1; done; cat /hpc/jobs/$P/where`;
    const said = await n1(
      `${job}; until [ -e /hpc/jobs/$P/where ]; do sleep 0.5; done; ${move('2', '2')}; ${move('3', '3')}; ${move('home', '0')}; wait $P; echo status $?`,
      300,
    );
    expect(said).toBe('2\n3\n0\nstatus 0');
    expect(await n1('seq 400 | cmp - /run/count && echo same')).toBe('same');
  });
});

describe('ten loops of awk, as in the HOWTO', () => {
  it('spread by themselves over three nodes and end with the right output', async () => {
    const loop = `mosrun awk "BEGIN { for (i = 0; i < 12000; i++) for (j = 0; j < 2000; j++) s += j % 7; print s }" > /run/awk.$n &`;
    await n1(`for n in 1 2 3 4 5 6 7 8 9 10; do ${loop} done; sleep 1; echo begun`);
    const nodes = new Set<string>();
    let left = 10;
    for (let round = 0; round < 120 && left > 0; round += 1) {
      const words = (await n1('sleep 3; cat /hpc/jobs/*/where 2>/dev/null; true')).split('\n').filter((word) => /^\d+$/.test(word));
      for (const word of words) nodes.add(word);
      left = Number(await n1('pgrep -fc "[m]osrun awk"; true'));
    }
    expect(left).toBe(0);
    expect(await n1('cat /run/awk.* | sort | uniq -c')).toMatch(/^10 \d+$/);
    const moves = await n1('journalctl -u farm-agent --no-pager -o cat | grep "move\\." | tail -n 30');
    expect([...nodes].sort(), moves).toEqual(['0', '2', '3']);
  });
});

// The tools as people see them: what each prints, complains of and ends with, and what it does to /hpc. Goldens in test/golden/tools.txt.
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { migrate } from '../../src/agent/tools/migrate.ts';
import { mosctl } from '../../src/agent/tools/mosctl.ts';
import { mosmon, viewOf } from '../../src/agent/tools/mosmon.ts';
import { mps, table } from '../../src/agent/tools/mps.ts';
import { withNodes } from '../../src/agent/tools/mtop.ts';
import { setpe } from '../../src/agent/tools/setpe.ts';
import { showmap } from '../../src/agent/tools/showmap.ts';
import type { Tool } from '../../src/agent/tools/tool.ts';
import { hpcNode } from '../support/hpc-cluster.ts';
import { local, type ToolWorld, toolWorld } from '../support/hpc-tools.ts';

const goldenPath = new URL('../golden/tools.txt', import.meta.url);
const tools: Readonly<Record<string, Tool>> = { setpe, showmap, mosctl, mosmon, migrate };

let world: ToolWorld;
beforeEach(() => {
  world = toolWorld();
});

/** A line as typed, and all that comes of it. */
async function session(line: string, at: ToolWorld = world): Promise<string> {
  const [name = '', ...args] = line.split(' ');
  const { status, out, complaint } = await at.run(tools[name]!, ...args);
  return `$ ${line}\n${out}${complaint}${status === 0 ? '' : `status ${status}\n`}`;
}

const goodMap = '# ours\n1 10.11.0.11 1\n2 10.11.0.12 2\n';

const lines: readonly string[] = [
  'setpe',
  'setpe -r',
  'setpe -r -f -',
  'setpe -c -f /etc/openmosix.map',
  'setpe -c -f /etc/wrong.map',
  'setpe -c -f /etc/others.map',
  'setpe -w -f /etc/others.map',
  'setpe -w -p 7 -f /etc/openmosix.map',
  'setpe -w -p 2 -f /etc/openmosix.map',
  'setpe -w -f /etc/none.map',
  'setpe -w -r',
  'setpe -g 3',
  'setpe -n atm -w',
  'showmap',
  'showmap all',
  'mosctl',
  'mosctl dance',
  'mosctl whois',
  'mosctl whois 3',
  'mosctl whois 10.11.0.12',
  'mosctl whois N5',
  'mosctl whois 77',
  'mosctl getload',
  'mosctl getload 2',
  'mosctl getload 5',
  'mosctl getspeed 2',
  'mosctl getutil 2',
  'mosctl getmem 3',
  'mosctl getfree 3',
  'mosctl status',
  'mosctl status 3',
  'mosctl status 5',
  'mosctl isup 2',
  'mosctl isup 5',
  'mosctl getyard',
  'mosctl setyard this',
  'mosctl gettune',
  'mosctl getdecay',
  'mosctl setdecay 5 975 926',
  'mosctl expel',
  'mosctl bring',
  'mosctl setspeed fast',
  'mosctl stay now',
  'mosmon -h',
  'mosmon -x',
  'migrate 1',
  'migrate 1 home',
  'migrate 1 2',
  'migrate 1 99',
  'migrate 9999999999 home',
];

function described(): ToolWorld {
  const made = toolWorld();
  made.files.set('/etc/openmosix.map', goodMap);
  made.files.set('/etc/wrong.map', '1 10.11.0.11\n');
  made.files.set('/etc/others.map', '4 10.11.0.14 2\n');
  return made;
}

describe('the tools', async () => {
  const sessions = await Promise.all(lines.map((line) => session(line, described())));

  test('say what test/golden/tools.txt has', () => {
    const text = sessions.join('\n');
    if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(goldenPath, text);
    expect(text).toBe(readFileSync(goldenPath, 'utf8'));
  });
});

describe('setpe', () => {
  test('-w gives the agent the table, from a file or standard input, and -W does the same', async () => {
    for (const [option, file] of [
      ['-w', '/etc/openmosix.map'],
      ['-W', '-'],
    ] as const) {
      world = toolWorld();
      world.files.set(file, goodMap);
      expect(await world.run(setpe, option, '-f', file)).toEqual({ status: 0, out: '', complaint: '' });
      expect(world.cluster.text).toBe('1 10.11.0.11 3\n');
    }
  });

  test('-c changes nothing', async () => {
    const before = world.cluster.text;
    world.files.set('-', goodMap);
    expect((await world.run(setpe, '-w', '-c')).status).toBe(0);
    expect(world.cluster.text).toBe(before);
  });

  test('-r -f writes a table that -w takes again', async () => {
    await world.run(setpe, '-r', '-f', '/tmp/map');
    expect(world.files.get('/tmp/map')).toBe(world.cluster.text);
    expect((await world.run(setpe, '-w', '-f', '/tmp/map')).status).toBe(0);
  });

  test('-off takes the map away, -g sets the gateways, alone or with a table', async () => {
    await world.run(setpe, '-g', '2');
    expect(world.cluster.gatewayCount).toBe(2);
    world.files.set('-', goodMap);
    await world.run(setpe, '-w', '-g', '1');
    expect([world.cluster.gatewayCount, world.cluster.text]).toEqual([1, '1 10.11.0.11 3\n']);
    expect((await world.run(setpe, '-off')).status).toBe(0);
    expect(world.cluster.text).toBe('');
    expect((await world.run(mosctl, 'whois')).complaint).toContain('this node is not configured');
  });

  test('finds this machine by its interfaces where /etc/hosts has its name on the line of 127.0.0.1, and says so', async () => {
    world.files.set('/etc/hosts', '127.0.0.1 localhost n1\n');
    world.files.set('-', goodMap);
    const said = await world.run(setpe, '-w');
    expect(said).toEqual({ status: 0, out: '', complaint: 'setpe: note: n1 is 127.0.0.1 in /etc/hosts; took 10.11.0.11 of an interface instead\n' });
    expect(world.cluster.text).toBe('1 10.11.0.11 3\n');
  });

  test('says what openMosix said when the table has none of the addresses, with the interfaces and the fix', async () => {
    world.files.set('/etc/hosts', '127.0.1.1 n1\n');
    world.addresses = [local('lo', '127.0.0.1'), local('eth0', '192.168.1.5'), local('eth1', '10.9.0.5')];
    world.files.set('-', goodMap);
    expect((await world.run(setpe, '-w')).complaint).toBe(
      'the supplied table is well-formed, but my IP address (127.0.1.1) is not there; this machine has: lo 127.0.0.1, eth0 192.168.1.5, eth1 10.9.0.5\n' +
        '  In /etc/hosts, move n1 from the line of 127.0.1.1 to one with its network address, or add a line to the table: "ID ADDRESS 1"\n',
    );
  });

  test('warns of what is allowed and not meant', async () => {
    world.files.set('-', `${goodMap}9 127.0.0.1 1\n`);
    expect((await world.run(setpe, '-c')).complaint).toBe('setpe: warning: standard input line 4: 127.0.0.1 can be reached from its own machine only\n');
  });
});

describe('mosctl', () => {
  test.each([
    ['stay', 'stay', true],
    ['nostay', 'stay', false],
    ['-stay', 'stay', false],
    ['lstay', 'lstay', true],
    ['nolstay', 'lstay', false],
    ['block', 'block', true],
    ['noblock', 'block', false],
    ['quiet', 'quiet', true],
    ['noquiet', 'quiet', false],
    ['nomfs', 'nomfs', true],
    ['mfs', 'nomfs', false],
  ] as const)('%s makes %s %s, and says nothing', async (command, flag, on) => {
    world.cluster.setFlag(flag, !on);
    expect(await world.run(mosctl, command)).toEqual({ status: 0, out: '', complaint: '' });
    expect(world.cluster.self().flags[flag]).toBe(on);
  });

  test('setspeed sets the speed that the cluster sees', async () => {
    expect((await world.run(mosctl, 'setspeed', '00500')).status).toBe(0);
    expect(await session('mosctl getspeed')).toBe('$ mosctl getspeed\n500\n');
  });

  test('expel waits until the last guest has gone', async () => {
    let guests = 12; // one goes each time that somebody looks
    let asked = false;
    const expel = () => {
      asked = true;
    };
    const self = () => {
      if (asked && guests > 0) guests -= 1;
      return { ...hpcNode(1), guests };
    };
    Object.assign(world.cluster, { expel, self });
    world.patience = 20;
    const { status, out } = await world.run(mosctl, 'expel');
    expect([asked, guests, status]).toEqual([true, 0, 0]);
    expect(out).toMatch(/^\d+ guests are leaving\n/);
  });

  test('expel that is interrupted answers no', async () => {
    Object.assign(world.cluster, { expel: () => {} });
    world.cluster.change(1, { guests: 1 });
    world.patience = 2; // pauses
    expect((await world.run(mosctl, 'expel')).status).toBe(1);
  });

  test('ends with a sentence whatever the words', async () => {
    const word = fc.oneof(
      fc.constantFrom('status', 'getload', 'whois', 'setspeed', 'isup', '1', '0', '10.11.0.12', '__proto__', 'constructor', ''),
      fc.string({ maxLength: 8 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(word, { maxLength: 3 }), async (words) => {
        const { status, out, complaint } = await world.run(mosctl, ...words);
        expect([0, 1, 2]).toContain(status);
        expect(status === 2 ? complaint : out + String(status)).not.toBe('');
      }),
      { numRuns: 200 },
    );
  });
});

describe('mosmon', () => {
  test('has its keys as options, together or apart', () => {
    expect(viewOf(['-Ld', '-t', '+12'])).toMatchObject({ metric: 'log', dead: true, totals: true, from: 12 });
    expect(viewOf(['-V', '-m'])).toMatchObject({ layout: 'tight', metric: 'memory' });
  });
});

describe('mps', () => {
  const atHome = () => ({ node: 0, job: undefined });
  const ps = '    PID TTY      STAT     TIME COMMAND\n      1 ?        Ss   00:00:02 /sbin/init splash\n   4711 pts/0    R+   00:10:00 awk BEGIN{for(;;);}\n';

  test('adds the node to the columns of ps', () => {
    expect(table(ps, atHome, undefined)).toBe(
      '    PID TTY      NODE STAT     TIME COMMAND\n' +
        '      1 ?           0 Ss   00:00:02 /sbin/init splash\n' +
        '   4711 pts/0       0 R+   00:10:00 awk BEGIN{for(;;);}\n',
    );
    expect(table(ps, () => ({ node: -1, job: undefined }), undefined)).toContain('pts/0      -1 R+');
  });

  test('has the columns of migration with --ominfo', () => {
    expect(table(ps, atHome, '--ominfo').split('\n').slice(0, 2)).toEqual([
      '    PID NODE NMIGS LOCK CANTMOVE COMMAND',
      '      1    0     - -    -        /sbin/init splash',
    ]);
    expect(table(ps, atHome, '--ominfol').split('\n')[1]).toBe('      1    0     - -    -        ?        /sbin/init splash');
  });

  test('lists this process, and refuses what it does not know', async () => {
    const { out } = await world.run(mps, String(process.pid));
    expect(out).toMatch(new RegExp(`^ *PID TTY +NODE STAT +TIME COMMAND\\n *${process.pid} \\S+ +0 `));
    expect((await world.run(mps, '--forest')).status).toBe(2);
  });
});

describe('mtop', () => {
  test('puts N# behind PID, in the heading and in every row below it', () => {
    const frame =
      'top - 12:00:00 up 1 day\nTasks:  2 total\n\n    PID USER      PR  NI %CPU COMMAND\n      1 root      20   0  0.0 init\n   4711 eva       20   0 99.0 awk';
    expect(withNodes(frame, (pid) => ({ node: pid === '4711' ? 3 : 0, job: undefined }))).toEqual([
      'top - 12:00:00 up 1 day',
      'Tasks:  2 total',
      '',
      '    PID N# USER      PR  NI %CPU COMMAND',
      '      1  0 root      20   0  0.0 init',
      '   4711  3 eva       20   0 99.0 awk',
    ]);
  });
});

// farm log, with programs in place of systemctl and journalctl.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { logCommand } from '../../src/cli/log.ts';
import { linesAbout } from '../../src/farm/log-lines.ts';
import { standIn } from '../support/on-path.ts';
import { type Ran, runCommand } from '../support/run-command.ts';

const lines = [
  '10:11:12 dhcp.offer  mac=52:54:00:00:00:01 address=10.11.0.11',
  '10:11:13 tftp.done  client=10.11.0.12:2070 file=undionly.kpxe',
  '10:11:14 serve.ready',
];
const directory = mkdtempSync(join(tmpdir(), 'farm-log-'));
const systemctl = standIn('systemctl', "console.log(args.at(-1) === 'farm' ? 'loaded' : 'not-found');");
const journalctl = standIn('journalctl', `for (const line of ${JSON.stringify(lines)}) console.log(line);`);
beforeAll(() =>
  writeFileSync(
    join(directory, 'farm.yaml'),
    `name: lab
networks: { main: { interface: eth1, address: 10.11.0.1/24 } }
profiles: { default: {} }
nodes:
  n1: { id: 1, mac: "52:54:00:00:00:01", ip: 10.11.0.11 }
  n2: { id: 2, mac: "52:54:00:00:00:02", ip: 10.11.0.12 }
`,
  ),
);
afterAll(() => {
  journalctl.remove();
  systemctl.remove();
  rmSync(directory, { recursive: true });
});
const farmLog = (...words: readonly string[]): Promise<Ran> => runCommand(logCommand(), directory, ['log', ...words]);

describe('farm log', () => {
  it("shows the journal of the server's unit", async () => {
    expect(await farmLog('-n', '7', '--since', '1 hour ago')).toEqual({ stdout: `${lines.join('\n')}\n`, stderr: '', status: 0 });
    expect(journalctl.calls().at(-1)).toEqual(['--no-pager', '--quiet', '--output=cat', '--unit=farm', '--lines=7', '--since=1 hour ago']);
  });

  it.each([
    [['n1'], [lines[0]]],
    [['n2'], [lines[1]]],
    [['all'], lines.slice(0, 2)],
    [['all', '-n', '1'], [lines[1]]],
    [['-x', 'n1'], [lines[1]]],
    [['n1', '--follow'], [lines[0]]],
  ])('%j: only those that are about these nodes', async (words, expected) => {
    expect((await farmLog(...words)).stdout).toBe(expected.map((line) => `${line}\n`).join(''));
  });

  it('says where the log is if no unit has it', async () => {
    expect(await farmLog('--unit', 'other')).toEqual({
      stdout: '',
      stderr:
        'farm: systemd has no unit other (not-found)\n  install it with: farm unit --help; a server that was started by hand logs to where it was started\n',
      status: 2,
    });
  });
});

describe('a line', () => {
  const isAbout = linesAbout([{ name: 'n1', address: '10.11.0.1' as never, mac: '52:54:00:00:00:01' as never }]);
  it.each([
    ['node=n1', true],
    ['{"node":"n1"}', true],
    ['host=N1.farm.lan', true],
    ['from=10.11.0.1:1023', true],
    ['path=/uploads/n1/x', true],
    ['chaddr 52:54:00:00:00:01, again', true],
    ['node=n10', false],
    ['node=n1-old', false],
    ['from=10.11.0.10', false],
    ['from=110.11.0.1', false],
    ['mac=52:54:00:00:00:012', false],
  ])('%s: %s', (line, about) => {
    expect(isAbout(line)).toBe(about);
  });
});

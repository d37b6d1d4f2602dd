// farm ssh with a program in place of ssh: what it is called with, what becomes of what it says.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { sshCommand } from '../../src/cli/ssh.ts';
import { foldOutputs } from '../../src/farm/ssh.ts';
import { standIn } from '../support/on-path.ts';
import { type Ran, runCommand } from '../support/run-command.ts';

const directory = mkdtempSync(join(tmpdir(), 'farm-ssh-'));
const ssh = standIn(
  'ssh',
  `const address = args[args.indexOf('--') + 1];
const last = Number(address.split('.').at(-1));
const word = args.at(-1);
if (word === 'kernel') console.log(last === 13 ? '6.1' : '6.12');
else if (word === 'split') { console.log('one\\ntwo'); process.stderr.write('three'); }
else if (word === 'fail') process.exit(last === 12 ? 7 : 3);
else if (word === 'away') { console.error('No route to host'); process.exit(255); }
else console.log(process.argv.length);`,
);
beforeAll(() => {
  mkdirSync(join(directory, 'state'));
  const nodes = [1, 2, 3, 4].map((id) => `  n${id}: { id: ${id}, mac: "52:54:00:00:00:0${id}", ip: 10.11.0.${10 + id} }\n`);
  writeFileSync(
    join(directory, 'farm.yaml'),
    `name: lab\nnetworks: { main: { interface: eth1, address: 10.11.0.1/24 } }\nprofiles: { default: {} }\nnodes:\n${nodes.join('')}`,
  );
});
afterEach(() => rmSync(join(directory, 'state', 'known_hosts'), { force: true }));
afterAll(() => {
  ssh.remove();
  rmSync(directory, { recursive: true });
});
const farmSsh = (...words: readonly string[]): Promise<Ran> => runCommand(sshCommand(), directory, ['ssh', ...words]);

describe('farm ssh', () => {
  it('calls ssh for each node, at its address, without a prompt', async () => {
    const before = ssh.calls().length;
    expect((await farmSsh('n2', '--', 'ls', '-l', '/etc')).status).toBe(0);
    expect(ssh.calls().slice(before)).toEqual([
      [
        ...['-T', '-n', '-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR', '-o', 'ConnectTimeout=10'],
        ...['-o', 'ServerAliveInterval=10', '-o', 'ServerAliveCountMax=3', '-l', 'root', '--', '10.11.0.12', 'ls', '-l', '/etc'],
      ],
    ]);
  });

  it("believes only the farm's own host keys, if it has them", async () => {
    const keys = join(directory, 'state', 'known_hosts');
    writeFileSync(keys, '');
    const before = ssh.calls().length;
    await farmSsh('n1', '-l', 'me', '--', 'true');
    const [call = []] = ssh.calls().slice(before);
    expect(call).toEqual(expect.arrayContaining([`UserKnownHostsFile="${keys}"`, 'StrictHostKeyChecking=yes', 'HostKeyAlias=n1', 'me']));
  });

  it('puts each line behind its node, and each stream where it belongs', async () => {
    expect(await farmSsh('n1', '--', 'split')).toEqual({ stdout: 'n1: one\nn1: two\n', stderr: 'n1: three\n', status: 0 });
  });

  it('folds what several say', async () => {
    expect(await farmSsh('all', '--fold', '--', 'kernel')).toEqual({ stdout: 'n[1-2,4]: 6.12\nn3: 6.1\n', stderr: '', status: 0 });
  });

  it('leaves out nodes, and gives programs everything', async () => {
    const { stdout } = await farmSsh('all', '-x', 'n[2-4]', '--json', '--', 'kernel');
    expect(JSON.parse(stdout)).toEqual([{ node: 'n1', status: 0, lines: [{ stream: 'stdout', text: '6.12' }] }]);
  });

  it('ends with the largest status', async () => {
    expect(await farmSsh('n1,n2', '--', 'fail')).toEqual({ stdout: '', stderr: 'n1: ended with 3\nn2: ended with 7\n', status: 7 });
  });

  it('tells nodes that cannot be reached', async () => {
    const { stderr, status } = await farmSsh('n[1-3]', '--fold', '--', 'away');
    expect(stderr).toMatch(/^n\[1-3\]: No route to host\nn\[1-3\]: ssh failed\n {2}is the node up\?/);
    expect(status).toBe(255);
  });

  it('needs nodes and a command', async () => {
    expect(await farmSsh('n9', '--', 'true')).toMatchObject({ status: 2, stderr: expect.stringContaining('this farm has no node n9') });
  });
});

describe('folding', () => {
  const said = (node: string, status: number, ...lines: readonly string[]) => ({
    node,
    status,
    lines: lines.map((line) => ({ stream: line.startsWith('!') ? ('stderr' as const) : ('stdout' as const), text: line })),
  });
  it.each([
    ['the order of the streams is chance', [said('n1', 0, 'a', '!b'), said('n2', 0, '!b', 'a')], ['n[1-2]']],
    ['another status is another end', [said('n1', 0, 'a'), said('n2', 1, 'a')], ['n1', 'n2']],
    ['the same words on another stream differ', [said('n1', 0, '!a'), said('n2', 0, 'a')], ['n1', 'n2']],
  ] as const)('%s', (_name, outputs, names) => {
    expect(foldOutputs(outputs).map(({ name }) => name)).toEqual(names);
  });
});

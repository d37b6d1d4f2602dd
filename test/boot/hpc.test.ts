// /hpc in a real kernel: a node mounts what its own process serves, and shells read and write it.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lab } from '../../src/lab/lab.ts';
import { bundle } from '../interop/namespaces.ts';
import { farm, labOf, makeFarm, onConsole, until } from '../support/farm-under-test.ts';

const bootSeconds = 300;

let directory: string;
let lab: Lab;
/** At another place and port than the node's own agent has. An emulated machine that shares its host takes seconds to start a program. */
const start =
  'node /root/hpc-node.mjs /test-hpc 4999 > /run/hpc-node.out 2>&1 & echo $! > /run/hpc-node.pid; until grep -q hpc.mounted /run/hpc-node.out; do sleep 0.5; done';
const n1 = (line: string) => onConsole(lab, 'n1', line);

beforeAll(async () => {
  directory = makeFarm('hpc-test');
  farm(directory, 'add-node', '52-54-00-AA-00-01');
  const root = join(directory, 'overlays', 'root', 'root');
  mkdirSync(root, { recursive: true });
  await bundle(new URL('../support/hpc-node.ts', import.meta.url), join(root, 'hpc-node.mjs'));
  lab = await labOf(directory);
  await until(directory, ['n1'], ({ stage }) => stage === 'up', bootSeconds);
  await n1(start);
});

afterAll(async () => {
  await lab?.down();
});

describe("the node's own agent", () => {
  it('mounts /hpc, on which the tools work', async () => {
    expect(await n1('until [ -e /hpc/info/self ]; do sleep 1; done; mosctl whois; mosctl isup 1; mosctl getspeed | grep -c .')).toBe(
      'This is openMosix #1, n1 at 10.11.0.11\nyes\n1',
    );
    expect(await n1('setpe -r; showmap')).toBe(
      'This is openMosix #1\nNetwork protocol: 2 (AF_INET)\nopenMosix range 1-1 begins at 10.11.0.11\nTotal configured: 1\n' +
        'My Node-Id: 0x0001\n\nBase Node-Id Address          Count\n------------ ---------------- -----\n0x0001       10.11.0.11       1',
    );
    expect(await n1('mosctl expel; cat /hpc/admin/block; mosctl noblock; cat /hpc/admin/block')).toBe('1\n0');
    expect(await n1('mps 1')).toMatch(/PID TTY +NODE STAT +TIME COMMAND\n +1 \? +0 /);
    expect(await n1('mtop -n 1 | grep -A1 "PID N#"')).toMatch(/PID N# USER .*\n +\d+ +0 /);
    expect(await n1('mosmon | tail -n 1')).toMatch(/Node # 1$/);
  });

  it('does what farm ctl orders, and shows it to farm status', async () => {
    expect(farm(directory, 'ctl', 'n1', 'whois')).toBe('This is openMosix #1, n1 at 10.11.0.11\n');
    farm(directory, 'ctl', 'all', 'stay');
    expect(await n1('cat /hpc/admin/stay')).toBe('1');
    await until(directory, ['n1'], ({ cluster }) => cluster?.facts.flags.stay === true, 60);
    expect(farm(directory, 'status')).toMatch(/^n1 .* up +\d+\.\d\d +\d+\/4\d\d +stay /m);
    expect(farm(directory, 'top')).toMatch(/ 1 of 1 nodes up, 1 processors/);
  });
});

describe('/hpc on a node', () => {
  it('is mounted by the kernel without nfs-common, and listed', async () => {
    expect(await n1('cat /run/hpc-node.out')).toMatch(/hpc\.mounted at=\/test-hpc/);
    expect(await n1('ls -1 /test-hpc /test-hpc/nodes | grep -v :')).toBe('admin\nconfig\ninfo\njobs\nnodes\nremote\n\n1\n2\n3\n5');
  });

  it('is read by cat, head, awk, wc, cp and dd alike', async () => {
    expect(await n1('cat /test-hpc/nodes/3/load /test-hpc/nodes/3/status; head -c 3 /test-hpc/nodes/3/load; echo')).toBe('104\n23\n104');
    expect(await n1("awk '{ print $2 }' /test-hpc/config; wc -l < /test-hpc/config")).toBe('10.11.0.11\n10.11.0.15\n2');
    expect(await n1('cp /test-hpc/admin/mospe /run/mospe; cat /run/mospe; dd if=/test-hpc/nodes/1/cpus bs=1 2>/dev/null')).toBe('1\n1');
  });

  it('shows values that change while nobody writes', async () => {
    const loads = (await n1('for i in 1 2 3 4; do cat /test-hpc/nodes/2/load; sleep 1.2; done')).split('\n').map(Number);
    expect(loads).toHaveLength(4);
    for (const [index, load] of loads.entries()) if (index > 0) expect(load).toBeGreaterThan(loads[index - 1]!);
  });

  it('takes what echo writes, at once and for all files', async () => {
    expect(await n1('echo 1 > /test-hpc/admin/stay; echo $?; cat /test-hpc/admin/stay /test-hpc/nodes/1/status')).toBe('0\n1\n7');
    expect(await n1('echo 0 > /test-hpc/admin/stay; cat /test-hpc/admin/stay /test-hpc/nodes/1/status')).toBe('0\n3');
    expect(await n1('printf "1 10.11.0.11 1\\n2 10.11.0.12 1\\n" > /test-hpc/admin/config; sleep 1.1; cat /test-hpc/config')).toBe('1 10.11.0.11 2');
  });

  it('tells the writer EINVAL and EACCES, and the log why', async () => {
    expect(await n1('bash -c "echo 2 > /test-hpc/admin/stay" 2>&1; echo $?')).toMatch(/Invalid argument\n[1-9]/);
    expect(await n1('bash -c "echo 1 > /test-hpc/admin/expel" 2>&1; cat /test-hpc/admin/stay')).toMatch(/Invalid argument\n0/);
    expect(await n1('bash -c "echo 1 > /test-hpc/nodes/2/load" 2>&1; echo $?')).toMatch(/Permission denied\n[1-9]/);
    expect(await n1('tail -n 1 /run/hpc-node.out')).toMatch(/hpc\.refused .*migration\.absent/);
  });

  it('does not hang anybody when its server is killed, and comes back with the next', async () => {
    await n1('kill -9 $(cat /run/hpc-node.pid)');
    const took = await n1('s=$(date +%s); ls -l / > /dev/null 2>&1; ls /test-hpc > /dev/null 2>&1; echo $(( $(date +%s) - s ))');
    expect(Number(took)).toBeLessThan(30);
    await n1(start);
    expect(await n1('cat /test-hpc/nodes/3/load; grep -c " /test-hpc " /proc/self/mountinfo')).toBe('104\n1');
  });

  it('is unmounted when its server ends', async () => {
    await n1('kill $(cat /run/hpc-node.pid); while kill -0 $(cat /run/hpc-node.pid) 2> /dev/null; do sleep 0.5; done');
    expect(await n1('grep -c " /test-hpc " /proc/self/mountinfo; ls /test-hpc | wc -l')).toBe('0\n0');
  });
});

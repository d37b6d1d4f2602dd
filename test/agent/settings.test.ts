// Options of the agent, and the file that a node's boot leaves for it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseEnvironment, readSettings } from '../../src/agent/settings.ts';

const directory = mkdtempSync(join(tmpdir(), 'farm-settings-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('boot.env', () => {
  test.each<[string, string, Record<string, string>]>([
    ['plain values', 'A=1\nB=x y\n', { A: '1', B: 'x y' }],
    ['quotes of both kinds', `A="x \\"y\\""\nB='a"b'`, { A: 'x "y"', B: 'a"b' }],
    ['nothing', 'A=\n', { A: '' }],
    ['export, comments, blanks and junk', '# x\n\nexport A=1 # one\n  B=2\njunk\n9=3\n', { A: '1', B: '2' }],
    ['the last of two', 'A=1\nA=2', { A: '2' }],
    ['line ends of DOS', 'A=1\r\nB="2"\r\n', { A: '1', B: '2' }],
    ['an equals sign within', 'FARM_ROOT=10.0.0.1:/srv/a=b', { FARM_ROOT: '10.0.0.1:/srv/a=b' }],
  ])('may have %s', (_what, text, expected) => {
    expect(Object.fromEntries(parseEnvironment(text))).toEqual(expected);
  });
});

describe('the settings', () => {
  const path = join(directory, 'boot.env');
  writeFileSync(path, 'FARM_SERVER=10.11.0.1:8080\nFARM_INTERFACE=eth0\nFARM_MAC=52:54:00:00:00:01\nFARM_ADDRESS=10.11.0.7\nFARM_DOMAIN=\n');

  test('come from the boot where no option says otherwise', () => {
    expect(readSettings(['--boot-env', path])).toMatchObject({
      server: '10.11.0.1',
      serverPort: 8080,
      interface: undefined,
      address: undefined,
      booted: { interface: 'eth0', address: '10.11.0.7' },
      mapPath: undefined,
      keyPath: '/etc/farm/key',
      cluster: 'farm',
      clusterPort: 5428,
      interval: 1000,
      reportInterval: 5000,
      socketPath: '/run/farm/agent.sock',
    });
  });

  test.each([
    [['--server', '10.9.0.1'], { server: '10.9.0.1', serverPort: 80 }],
    [['--server', 'head.farm:81'], { server: 'head.farm', serverPort: 81 }],
    [['--port', '82'], { server: '10.11.0.1', serverPort: 82 }],
    [['--interface', 'eth1', '--address', '10.9.0.2'], { interface: 'eth1', address: '10.9.0.2' }],
    [['--map', '/m', '--key-file', '/k', '--cluster', 'lab'], { mapPath: '/m', keyPath: '/k', cluster: 'lab' }],
  ])('follow the options %j', (args, expected) => {
    expect(readSettings(['--boot-env', path, ...args])).toMatchObject(expected);
  });

  test('need a server from somewhere', () => {
    expect(() => readSettings(['--boot-env', join(directory, 'none')])).toThrow(expect.objectContaining({ code: 'agent.settings' }));
  });
});

// `npm install -g` of the packed farm: everything works from another directory, without the source tree, as a person begins.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const source = fileURLToPath(new URL('../..', import.meta.url));
const top = realpathSync(mkdtempSync(join(tmpdir(), 'farm-npm-')));
const prefix = join(top, 'prefix');
const home = join(top, 'home');
const directory = join(home, 'lab');
afterAll(() => rmSync(top, { recursive: true }));

const env = { PATH: `${join(prefix, 'bin')}:${process.env['PATH']}`, HOME: home, LC_ALL: 'C.UTF-8' };

function farm(...words: readonly string[]): string {
  return execFileSync('farm', words, { encoding: 'utf8', cwd: home, env });
}

beforeAll(() => {
  mkdirSync(home);
  // Built already, by `npm test`; npm would build it again.
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', top], { cwd: source, encoding: 'utf8' }).trim();
  // The packages it needs come from npm's cache, where `npm install` of this repository has put them, or from the registry.
  const arguments_ = ['install', '--global', '--prefix', prefix, '--prefer-offline', '--no-audit', '--no-fund', '--omit=dev', join(top, packed)];
  execFileSync('npm', arguments_, { cwd: top, stdio: 'pipe' });
});

describe('installed by npm', () => {
  const installed = join(prefix, 'lib/node_modules/farm');

  it('has what runs and what is read, and nothing of what only its makers need', () => {
    expect(readdirSync(installed).sort()).toEqual(['LICENSE', 'README.md', 'bin', 'dist', 'docs', 'images', 'node_modules', 'package.json', 'templates']);
    expect(readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' }).filter((path) => !/\.m?js$|\/?[a-z0-9]+$/.test(path))).toEqual([]);
    expect(readdirSync(join(installed, 'node_modules'))).not.toEqual(expect.arrayContaining(['typescript']));
  });

  it('knows its version', () => {
    expect(farm('--version')).toBe(`${JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')).version}\n`);
  });

  it('makes a farm, adds a node and renders its files', () => {
    expect(farm('init', directory, '--name', 'lab', '--interface', 'eth1', '--address', '10.11.0.1/24')).toContain('next: farm image build');
    farm('-C', directory, 'add-node', '52:54:00:12:34:56');
    expect(JSON.parse(farm('-C', directory, 'node', 'list', '--json'))).toMatchObject([{ name: 'n1', mac: '52:54:00:12:34:56' }]);
    farm('-C', directory, 'render', '--out', join(top, 'rendered'));
    expect(readFileSync(join(top, 'rendered/etc/openmosix.map$$CLIENT$$'), 'utf8')).toMatch(/^1 +10\.11\.0\.10 +1$/m);
    // The node's agent is a file of the package.
    expect(readFileSync(join(top, 'rendered/usr/lib/farm/farm-agent.mjs$$CLIENT$$')).length).toBeGreaterThan(100_000);
  });

  it('has its recipes, manual pages, completion and service', () => {
    farm('man', '--out', join(top, 'man'));
    expect(execFileSync('man', ['-P', 'cat', '-l', join(top, 'man/farm.1')], { encoding: 'utf8', env })).toContain('add-node');
    const { status } = spawnSync('bash', ['-n'], { input: farm('completion', 'bash') });
    expect(status).toBe(0);
    expect(farm('-C', directory, 'completion', 'words', '--', 'node', 'show', 'n')).toContain('n1\n');
    expect(farm('-C', directory, 'unit')).toContain(` ${join(installed, 'bin/farm')} -C ${directory} serve\n`);
    expect(existsSync(join(installed, 'images/debian-13.yaml'))).toBe(true);
  });

  it('starts the processes that it consists of', () => {
    // It gets as far as the network, where there is no such card.
    const { status, stderr } = spawnSync('farm', ['-C', directory, 'serve'], { encoding: 'utf8', cwd: home, env, timeout: 30_000 });
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining('there is no network interface eth1') });
  });
});

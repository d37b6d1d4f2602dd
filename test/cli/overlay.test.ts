// farm overlay and farm render as a person types them, on a farm with three files of its own.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { FarmError } from '../../src/base/errors.ts';
import { overlayCommand } from '../../src/cli/overlay.ts';
import { top } from '../reference/logged.ts';

const directory = mkdtempSync(join(tmpdir(), 'farm-overlay-'));
afterAll(() => rmSync(directory, { recursive: true }));

function put(path: string, text: string): void {
  mkdirSync(join(directory, path, '..'), { recursive: true });
  writeFileSync(join(directory, path), text);
}

beforeEach(() => {
  rmSync(directory, { recursive: true });
  put('state/key', `${'07'.repeat(32)}\n`);
  put('farm.yaml', readFileSync(join(top, 'test/overlay/sample-farm.yaml'), 'utf8'));
  put('overlays/root/etc/hosts.hbs', '127.0.0.1 localhost {{farm.name}}\n');
  put('overlays/root/etc/motd$$GROUP=lab$$', 'a lab\n');
  put('overlays/root/etc/hostname$$HOST={{node.name}}$$.hbs', '{{node.fqdn}}\n');
});

async function farm(...words: string[]): Promise<string> {
  const written: string[] = [];
  const collect = (part: unknown): boolean => written.push(String(part)) > 0;
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(collect),
    vi.spyOn(console, 'log').mockImplementation((part) => void written.push(`${part}\n`)),
  ];
  try {
    const program = new Command('farm').option('-C, --directory <dir>').addCommand(overlayCommand());
    await program.parseAsync(['-C', directory, ...words], { from: 'user' });
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return written.join('');
}

async function refusal(...words: string[]): Promise<string> {
  try {
    await farm(...words);
  } catch (error) {
    return `${(error as FarmError).code}: ${(error as FarmError).message}`;
  }
  return 'none';
}

describe('farm overlay list', () => {
  it('says of each file whose it is and whom it is for', async () => {
    const rows = (await farm('overlay', 'list')).split('\n').map((line) => line.split(/ {2,}/).join(' | '));
    expect(rows).toEqual(
      expect.arrayContaining([
        'FILE | FROM | KIND | NODES',
        'etc/hosts | farm, not built-in | template | all',
        'etc/motd$$GROUP=lab$$ | farm | file | n2',
        'etc/fstab | built-in | file | all',
        'etc/fstab$$HOST={{node.name}}$$ | built-in | template | n2',
        'etc/machine-id$$HOST={{node.name}}$$ | built-in | template | all',
      ]),
    );
  });

  it('says it to programs', async () => {
    const rows = JSON.parse(await farm('overlay', 'list', '--json'));
    expect(rows).toContainEqual({
      path: 'etc/motd$$GROUP=lab$$',
      from: 'farm',
      source: join(directory, 'overlays/root/etc/motd$$GROUP=lab$$'),
      kind: 'bytes',
      audience: { kind: 'some', nodes: ['n2'] },
    });
  });
});

describe('farm overlay show', () => {
  it('prints what wins, as it is written', async () => {
    expect(await farm('overlay', 'show', '/etc/hosts')).toBe('127.0.0.1 localhost {{farm.name}}\n');
    expect(await farm('overlay', 'show', 'etc/hostname')).toBe('{{node.fqdn}}\n');
    expect(await farm('overlay', 'show', 'etc/systemd/system/systemd-networkd.socket')).toBe('{{!-- symlink --}}\n/dev/null\n');
  });

  it('prints what a node gets', async () => {
    expect(await farm('overlay', 'show', 'etc/hostname', '--node', 'n2')).toBe('n2.farm.lan\n');
    expect(await farm('overlay', 'show', '/etc/systemd/system/systemd-networkd.socket', '--node', 'n2')).toBe('-> /dev/null\n');
    expect(await refusal('overlay', 'show', '/etc/motd', '--node', 'n1')).toBe('overlay.missing: the overlays give n1 no etc/motd');
  });

  it('asks which is meant', async () => {
    put('overlays/root/etc/motd$$HOST=n1$$', 'mine');
    expect(await refusal('overlay', 'show', 'etc/motd')).toBe("overlay.several: there are several: 'etc/motd$$GROUP=lab$$', 'etc/motd$$HOST=n1$$'");
    expect(await refusal('overlay', 'show', 'etc/hots')).toMatch(/^overlay.missing: no overlay has etc\/hots.*etc\/hosts/);
  });
});

describe('farm overlay edit', () => {
  it('copies a built-in file into the farm and says where, without a terminal', async () => {
    const copy = join(directory, 'overlays/root/etc/resolv.conf.hbs');
    expect(await farm('overlay', 'edit', 'etc/resolv.conf')).toBe(`${copy}\n`);
    expect(readFileSync(copy, 'utf8')).toBe(readFileSync(join(top, 'templates/root/etc/resolv.conf.hbs'), 'utf8'));
    expect(await farm('overlay', 'diff', 'all')).not.toContain('resolv.conf');
  });

  it('leaves the farm own file as it is', async () => {
    const path = join(directory, 'overlays/root/etc/hosts.hbs');
    chmodSync(path, 0o640);
    expect(await farm('overlay', 'edit', '/etc/hosts')).toBe(`${path}\n`);
    expect([readFileSync(path, 'utf8'), statSync(path).mode & 0o777]).toEqual(['127.0.0.1 localhost {{farm.name}}\n', 0o640]);
    expect(await refusal('overlay', 'edit', '../../farm.yaml')).toContain('overlay.missing');
    expect(existsSync(join(directory, 'overlays/root/farm.yaml'))).toBe(false);
  });
});

describe('farm overlay diff', () => {
  it('shows what the farm has changed', async () => {
    const text = await farm('overlay', 'diff', 'all');
    expect(text).toContain(
      '--- etc/hostname$$HOST={{node.name}}$$\tbuilt-in\n+++ etc/hostname$$HOST={{node.name}}$$\tfarm\n@@ -1,1 +1,1 @@\n-{{node.name}}\n+{{node.fqdn}}\n',
    );
    expect(text).toContain('--- /dev/null\tbuilt-in\n+++ etc/motd$$GROUP=lab$$\tfarm\n');
    expect(await farm('overlay', 'diff', 'etc/fstab')).toBe('');
  });

  it('shows what that changes on a node', async () => {
    expect(await farm('overlay', 'diff', 'etc/hostname', '--node', 'n2')).toBe(
      '--- etc/hostname\twithout\n+++ etc/hostname\twith\n@@ -1,1 +1,1 @@\n-n2\n+n2.farm.lan\n',
    );
    expect(await farm('overlay', 'diff', 'etc/motd', '--node', 'n1')).toBe('');
    expect(await farm('overlay', 'diff', 'all', '--node', 'n2')).toContain('+a lab\n');
  });
});

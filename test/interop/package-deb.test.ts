// The Debian package: the same bytes each time, what Debian expects where it expects it, and a program that runs from there. On a clean Debian 13: npm run test:deb.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const top = fileURLToPath(new URL('../..', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'farm-deb-'));
const root = join(work, 'root');
afterAll(() => rmSync(work, { recursive: true }));

let deb = '';
const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8'));

function build(out: string, umask: string): string {
  const env = { ...process.env, SOURCE_DATE_EPOCH: '1763740800', TZ: umask === '077' ? 'Asia/Tokyo' : 'UTC' };
  const line = `umask ${umask}; exec "$0" scripts/package-deb.mjs --out "$1"`;
  return execFileSync('sh', ['-c', line, process.execPath, join(work, out)], { cwd: top, encoding: 'utf8', env }).trim();
}

const dpkg = (...words: readonly string[]): string => execFileSync('dpkg-deb', words, { encoding: 'utf8' });

beforeAll(() => {
  deb = build('one', '022');
  dpkg('-x', deb, root);
});

describe('the Debian package', () => {
  it('has the same bytes from another user, in another time zone', () => {
    expect(deb).toBe(join(work, 'one', `farm_${version}_all.deb`));
    expect(readFileSync(build('two', '077')).equals(readFileSync(deb))).toBe(true);
  }, 120_000);

  it('says what it needs', () => {
    const field = (name: string): string => dpkg('-f', deb, name).trim();
    expect([field('Version'), field('Architecture')]).toEqual([version, 'all']);
    expect(field('Depends')).toBe('nodejs (>= 20.19), iproute2');
    expect(field('Recommends').split(', ')).toEqual(expect.arrayContaining(['mmdebstrap', 'squashfs-tools', 'qemu-system-x86', 'openssh-client']));
  });

  it("has root's files only, of the time that was given, with no program for one kind of machine", () => {
    const lines = dpkg('-c', deb).trim().split('\n');
    expect(lines.length).toBeGreaterThan(500);
    expect(lines.filter((line) => !/^[-dl]rwxr[-w]xr-x root\/root |^[-l]rw-r--r-- root\/root |^lrwxrwxrwx root\/root /.test(line))).toEqual([]);
    expect(lines.filter((line) => !/ 2025-11-21 \d\d:\d\d /.test(line))).toEqual([]);
    expect(lines.filter((line) => /\.(?:node|bare|so|map|ts)$/.test(line))).toEqual([]);
  });

  it('puts each kind of file where Debian looks for it', () => {
    expect(readlinkSync(join(root, 'usr/bin/farm'))).toBe('../share/farm/bin/farm');
    const page = execFileSync('gzip', ['-dc', join(root, 'usr/share/man/man1/farm-node-list.1.gz')], { encoding: 'utf8' });
    expect(page).toMatch(/^\.TH /);
    expect(readFileSync(join(root, 'usr/share/bash-completion/completions/farm'), 'utf8')).toContain('complete -o default -F _farm farm');
    expect(readFileSync(join(root, 'usr/share/zsh/vendor-completions/_farm'), 'utf8')).toMatch(/^#compdef farm\n/);
    expect(readFileSync(join(root, 'usr/share/fish/vendor_completions.d/farm.fish'), 'utf8')).toContain('complete -c farm');
    expect(readFileSync(join(root, 'usr/share/doc/farm/reference/errors.md'), 'utf8')).toContain('`port.taken`');
    const copyright = readFileSync(join(root, 'usr/share/doc/farm/copyright'), 'utf8');
    const told = (text: string): readonly string[] => [...text.matchAll(/^([\w@/-]+) \d[\w.-]*, [\w.-]+(?:, in .*)?:$/gm)].map(([, name = '']) => name);
    const copied = told(readFileSync(join(top, 'dist/licences.txt'), 'utf8'));
    expect(copied).toEqual(expect.arrayContaining(['zod', 'yaml', 'pino', 'handlebars', 'commander', 'diff']));
    expect(told(copyright)).toEqual(expect.arrayContaining([...copied]));
  });

  it('has a service for the farm in /srv/farm that nobody starts but the administrator', () => {
    const unit = readFileSync(join(root, 'usr/lib/systemd/system/farm.service'), 'utf8');
    expect(unit).toContain('\nExecStart=/usr/bin/farm -C /srv/farm serve\n');
    expect(unit).toContain('\nAssertPathExists=/srv/farm/farm.yaml\n');
    const scripts = dpkg('-I', deb, 'postinst') + dpkg('-I', deb, 'prerm') + dpkg('-I', deb, 'postrm');
    expect(scripts).not.toMatch(/enable|\bstart\b/);
  });

  it('runs from where it is', () => {
    const farm = (...words: readonly string[]): string => execFileSync(join(root, 'usr/bin/farm'), words, { encoding: 'utf8', cwd: '/' });
    expect(farm('--version')).toBe(`${version}\n`);
    const directory = join(work, 'lab');
    farm('init', directory, '--interface', 'eth1', '--address', '10.11.0.1/24');
    farm('-C', directory, 'add-node', '52:54:00:12:34:56');
    farm('-C', directory, 'render', '--out', join(work, 'rendered'));
    expect(readFileSync(join(work, 'rendered/etc/openmosix.map$$CLIENT$$'), 'utf8')).toMatch(/^1 +10\.11\.0\.10 +1$/m);
  });
});

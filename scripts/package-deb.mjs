// farm_VERSION_all.deb, without root, byte-identical for the same sources and time: deb(5), reproducible-builds.org's SOURCE_DATE_EPOCH.
// What is in it is what `npm pack` packs and the production dependencies of package-lock.json, laid out as Debian's policy has it.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { copyright, productionPackages } from './production-packages.mjs';
import { bootPackages, build, top } from './ready.mjs';

/** Who packages it says so as for dch(1). RFC 2606: nobody has this domain. */
const maintainer = `${process.env['DEBFULLNAME'] ?? 'The farm authors'} <${process.env['DEBEMAIL'] ?? 'farm@farm.invalid'}>`;
/** Where the packaged service looks for the farm: data that this server serves, hier(7). */
const farmDirectory = '/srv/farm';

/** In Debian 13 and later; 12 has 18. */
const depends = ['nodejs (>= 20.19)', 'iproute2'];
const essential = ['perl-base', 'util-linux', 'iproute2'];
const recommends = [...bootPackages.filter((name) => !essential.includes(name)), 'openssh-client'];
const suggests = ['ipmitool', 'nginx-light | nginx', 'busybox-static', 'uidmap'];

const { values } = parseArgs({ options: { out: { type: 'string', default: join(top, '.farm') } } });
const { version, description, license } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8'));
const seconds = Number(process.env['SOURCE_DATE_EPOCH'] ?? execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: top, encoding: 'utf8' }));
if (!Number.isInteger(seconds)) throw new Error(`SOURCE_DATE_EPOCH is "${process.env['SOURCE_DATE_EPOCH']}", and not a number of seconds`);
const date = new Date(seconds * 1000);
build();

process.umask(0o022);
const work = mkdtempSync(join(tmpdir(), 'farm-deb-'));
try {
  const root = join(work, 'root');
  const share = join(root, 'usr/share/farm');
  program(share);
  documentation(share, join(root, 'usr/share/doc/farm'));
  commands(root, share);
  await service(root, share);
  overrides(root);
  control(root);
  settle(root);
  mkdirSync(values.out, { recursive: true });
  const deb = resolve(values.out, `farm_${version}_all.deb`);
  // The blocks of xz depend on how many threads there may be.
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(seconds), DPKG_DEB_THREADS_MAX: '1' };
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', root, deb], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  console.log(deb);
} finally {
  rmSync(work, { recursive: true });
}

/** What npm would install: the packed files, and the packages they need. */
function program(share) {
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', work], { cwd: top, encoding: 'utf8' }).trim();
  mkdirSync(share, { recursive: true });
  execFileSync('tar', ['-xzf', join(work, packed), '-C', share, '--strip-components=1', '--no-same-owner']);
  for (const { path } of productionPackages()) {
    const from = join(top, path);
    cpSync(from, join(share, path), { recursive: true, filter: (source) => isProgram(relative(from, source), lstatSync(source).isDirectory()) });
  }
}

/** Neither what only a TypeScript compiler reads nor tests, benchmarks, pages, settings of other tools and commands. */
function isProgram(path, isDirectory) {
  if (/(?:^|\/)\.|^bin(?:[/.]|$)|^(?:tests?|docs?|bench(?:marks?)?|examples?|node_modules)(?:\/|$)/.test(path)) return false;
  return isDirectory || ['.js', '.cjs', '.mjs', '.json'].includes(extname(path));
}

function documentation(share, doc) {
  mkdirSync(dirname(doc), { recursive: true });
  renameSync(join(share, 'docs'), doc);
  renameSync(join(share, 'README.md'), join(doc, 'README.md'));
  writeFileSync(join(doc, 'copyright'), copyright(readFileSync(join(share, 'LICENSE'), 'utf8'), license));
  // Both are in the copyright file now.
  rmSync(join(share, 'LICENSE'));
  rmSync(join(share, 'dist/licences.txt'));
  const day = date.toUTCString().replace('GMT', '+0000');
  const changes = `farm (${version}) unstable; urgency=medium\n\n  * Version ${version}, packaged by its own sources.\n\n -- ${maintainer}  ${day}\n`;
  writeFileSync(join(doc, 'changelog.gz'), gzipSync(changes, { level: 9 }));
}

/** The command, its manual pages, and what completes it in each shell: made by the program that is packaged. */
function commands(root, share) {
  const farm = (...words) => execFileSync(process.execPath, [join(share, 'bin/farm'), ...words], { encoding: 'utf8' });
  mkdirSync(join(root, 'usr/bin'));
  symlinkSync('../share/farm/bin/farm', join(root, 'usr/bin/farm'));
  const man = join(root, 'usr/share/man/man1');
  farm('man', '--out', man);
  for (const page of readdirSync(man)) {
    writeFileSync(join(man, `${page}.gz`), gzipSync(readFileSync(join(man, page)), { level: 9 }));
    rmSync(join(man, page));
  }
  const places = { bash: 'bash-completion/completions/farm', zsh: 'zsh/vendor-completions/_farm', fish: 'fish/vendor_completions.d/farm.fish' };
  for (const [shell, place] of Object.entries(places)) write(join(root, 'usr/share', place), farm('completion', shell));
}

/** neo-async is no copy of async, of which lintian warns. */
function overrides(root) {
  write(join(root, 'usr/share/lintian/overrides/farm'), 'farm: embedded-javascript-library please use libjs-async *neo-async*\n');
}

/** For the farm in `farmDirectory`; whoever has it elsewhere, or more than one, makes another with `farm unit`. */
async function service(root, share) {
  const { unitText } = await import(join(share, 'dist/farm/unit.js'));
  // Nodes' own device files in shared paths must be possible: the package knows no farm.yaml.
  const any = { directory: farmDirectory, name: farmDirectory, profiles: [{ shared: ['/'] }], usersFromServer: undefined };
  write(join(root, 'usr/lib/systemd/system/farm.service'), unitText(any, { program: ['/usr/bin/farm'], user: undefined, doc: 'man:farm(1)' }));
}

function control(root) {
  const size = Math.ceil(entries(root).reduce((sum, path) => sum + lstatSync(path).size, 0) / 1024);
  const fields = {
    Package: 'farm',
    Version: version,
    Architecture: 'all',
    Maintainer: maintainer,
    'Installed-Size': size,
    Depends: depends.join(', '),
    Recommends: recommends.join(', '),
    Suggests: suggests.join(', '),
    Section: 'admin',
    Priority: 'optional',
    Description: [
      description[0].toLowerCase() + description.slice(1),
      'DHCP/BOOTP, TFTP, HTTP and NFS for machines that boot from the network,',
      'from one program and one configuration file, and an agent that makes them',
      'one cluster. It is for Debian 13 and later, whose Node.js is new enough.',
    ].join('\n '),
  };
  const text = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`);
  const sums = entries(root)
    .filter((path) => lstatSync(path).isFile())
    .map((path) => `${createHash('md5').update(readFileSync(path)).digest('hex')}  ${relative(root, path)}\n`);
  write(join(root, 'DEBIAN/control'), text.join(''));
  write(join(root, 'DEBIAN/md5sums'), sums.join(''));
  const scripts = {
    // An upgrade replaces files that a running server would still load.
    postinst:
      'if [ "$1" = configure ] && [ -d /run/systemd/system ]; then\n  systemctl --system daemon-reload\n  [ -z "$2" ] || deb-systemd-invoke try-restart farm.service\nfi',
    prerm: 'if [ "$1" = remove ] && [ -d /run/systemd/system ]; then\n  deb-systemd-invoke stop farm.service\nfi',
    postrm: 'if [ "$1" = remove ] && [ -d /run/systemd/system ]; then\n  systemctl --system daemon-reload\nfi',
  };
  for (const [name, lines] of Object.entries(scripts)) write(join(root, 'DEBIAN', name), `#!/bin/sh\nset -e\n${lines}\n`, 0o755);
}

function write(path, text, mode = 0o644) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode });
}

/** Everything below, in an order that no file system decides. */
function entries(directory) {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((path) => join(directory, path))
    .sort();
}

/** Modes and times of no checkout. */
function settle(root) {
  for (const path of [...entries(root), root]) {
    const stats = lstatSync(path);
    if (stats.isSymbolicLink()) continue;
    chmodSync(path, stats.isDirectory() || isExecutable(path, stats) ? 0o755 : 0o644);
  }
  for (const path of [...entries(root), root]) if (!lstatSync(path).isSymbolicLink()) utimesSync(path, date, date);
}

function isExecutable(path, { mode }) {
  if (path.includes('/node_modules/')) return false;
  return (mode & 0o100) !== 0 || (path.includes('/dist/') && readFileSync(path, 'latin1').startsWith('#!'));
}

// The Debian package on a clean Debian 13: built twice, looked at by lintian, installed with apt in a fresh chroot, and used there without a network.
// By hand, as root: npm run test:deb. It needs mmdebstrap, lintian and the Debian mirror that this machine's apt uses.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { top } from './ready.mjs';

const suite = 'trixie';

/** What a person does first, and what the package brings beside the command. */
const check = `
set -eux
cd /
test "$(farm --version)" = "$(dpkg-query -W -f '\${Version}' farm)"
node --version
farm init /srv/farm --name lab --interface eth1 --address 10.11.0.1/24
farm -C /srv/farm add-node 52:54:00:12:34:56
farm -C /srv/farm node list
status=0; farm -C /srv/farm doctor || status=$?
test "$status" -le 1
farm -C /srv/farm render --out /tmp/rendered
test -s '/tmp/rendered/etc/openmosix.map$$CLIENT$$'
farm -C /srv/farm unit | grep -q '^ExecStart=/usr/bin/node /usr/share/farm/bin/farm -C /srv/farm serve$'
dpkg --verify farm
test -s /usr/share/man/man1/farm-node-list.1.gz
bash -n /usr/share/bash-completion/completions/farm
status=0; timeout 20 farm -C /srv/farm serve > /tmp/serve 2>&1 || status=$?
cat /tmp/serve
test "$status" = 2 && grep -q 'no network interface eth1' /tmp/serve
apt-get purge -y -q farm
test ! -e /usr/share/farm && test ! -e /usr/bin/farm && test -e /srv/farm/farm.yaml
`;

const work = mkdtempSync(join(tmpdir(), 'farm-test-deb-'));
try {
  const [deb, again] = ['one', 'two'].map((name) => {
    return execFileSync(process.execPath, [join(top, 'scripts/package-deb.mjs'), '--out', join(work, name)], { encoding: 'utf8' }).trim();
  });
  if (!readFileSync(deb).equals(readFileSync(again))) throw new Error('two builds differ');
  // Of the program that was built now.
  const { hostMirror, sourceLines } = await import('../dist/image/mirror.js');
  step('lintian');
  run('lintian', ['--fail-on', 'error,warning', deb]);
  step(`a clean ${suite}`);
  const script = join(work, 'check');
  writeFileSync(script, check);
  const sources = ['sources.list', ...readdirSync('/etc/apt/sources.list.d').map((name) => join('sources.list.d', name))].flatMap((path) => {
    try {
      return [readFileSync(join('/etc/apt', path), 'utf8')];
    } catch (error) {
      if (error.code === 'ENOENT') return [];
      throw error;
    }
  });
  run('mmdebstrap', [
    '--variant=apt',
    '--format=null',
    `--customize-hook=copy-in ${deb} ${script} /root`,
    `--customize-hook=chroot "$1" apt-get install -y -q --no-install-recommends /root/${basename(deb)}`,
    // From here on it has no network.
    '--customize-hook=unshare --net chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh /root/check',
    suite,
    '/dev/null',
    ...sourceLines(suite, hostMirror(sources)),
  ]);
  console.log(`the package works on a clean ${suite}`);
} finally {
  rmSync(work, { recursive: true });
}

function step(text) {
  console.log(`> ${text}`);
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ended with ${status}`);
}

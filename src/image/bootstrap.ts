// Runs mmdebstrap(1): packages of Debian or Ubuntu in, a tar of the root file system out. Kernel, loaders and busybox come in the same tar, set apart.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { run } from '../base/processes.ts';
import { isSystemError, saysNoRoom } from './failure.ts';
import { noSuchKernel } from './kernel-packages.ts';
import { loaderPackages } from './loaders.ts';
import { distributions, hostMirror, sourceLines } from './mirror.ts';
import type { Recipe } from './recipe.ts';

/** In the tar, the directory of what belongs beside the root: `kernel/`, `busybox/`, and each loader's package, as dpkg-deb unpacks them, and `packages`. */
export const asideName = '.farm-build';

/** Before a line that is for us among what the hooks complain of. */
const kernelsMark = 'farm-kernels:';

// Run by mmdebstrap before it installs anything: a kernel that is not there is told at once, and with those that are.
const kernelHook = `
export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
apt-cache show --no-all-versions "$kernel" 2>/dev/null | grep -q ^Package: && exit 0
echo "${kernelsMark} $(apt-cache pkgnames linux-image- | tr '\\n' ' ')" >&2
exit 1
`;

// Run by mmdebstrap when everything is installed, outside the chroot, with the root as $1. The kernel package is unpacked, not
// installed: its scripts would build an initramfs. Only lib/modules goes into the root, and not by unpacking over /lib, which is a
// symlink there (warewulf's known issues). One tar for all of it, because in a user namespace a hook can write nowhere else.
// Ubuntu's modules are packages of their own, of which the kernel's names one and the other has most of the drivers of network cards.
const hook = `
set -eu
root=$1
aside=$root/${asideName}
mkdir "$aside" "$aside/debs"
export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
needs() { apt-cache show --no-all-versions "$1" | sed -n "s/^Depends:.*\\($2-[0-9][^ ,]*\\).*/\\1/p"; }
image=$(needs "$kernel" linux-image)
image=\${image:-$kernel}
modules=$(needs "$image" linux-modules)
extra=\${modules:+linux-modules-extra-\${modules#linux-modules-}}
[ -z "$extra" ] || apt-cache show "$extra" >/dev/null 2>&1 || extra=
cd "$aside/debs"
apt-get download -qq "$image" $modules $extra busybox-static $loaders >&2
for deb in *.deb; do
  name=$(dpkg-deb --field "$deb" Package)
  case $name in linux-*) part=kernel ;; busybox-*) part=busybox ;; *) part=$name ;; esac
  dpkg-deb --extract "$deb" "$aside/$part"
  echo "$part $name $(dpkg-deb --field "$deb" Version)" >>"$aside/packages"
done
rm -r "$aside/debs"
if [ "$base" = busybox ]; then # dpkg has no record of what is unpacked only
  for doc in "$root"/usr/share/doc/*/; do
    [ -d "$doc" ] || continue
    name=$(basename "$doc")
    version=$(apt-cache show --no-all-versions "$name" 2>/dev/null | sed -n 's/^Version: //p')
    [ -z "$version" ] || echo "root $name $version" >>"$aside/packages"
  done
fi
for modules in "$aside"/kernel/lib/modules/* "$aside"/kernel/usr/lib/modules/*; do
  [ -d "$modules" ] || continue
  release=\${modules##*/}
  mkdir -p "$root/usr/lib/modules"
  mv "$modules" "$root/usr/lib/modules/"
  if [ "$base" = packages ]; then chroot "$root" depmod "$release"; else depmod --basedir "$root" "$release"; fi
  echo "$release" >"$aside/release"
done
rm -rf "$root/etc/ssh/"ssh_host_*_key* "$root/var/lib/systemd/random-seed"
`;

// On base: busybox: what packages have in /bin and /lib goes to /usr, as on every Debian since 12.
const mergedUsr = `
for name in bin sbin lib lib64; do
  mkdir -p "$1/usr/$name"
  ln -s "usr/$name" "$1/$name"
done
`;

/** Lines of mmdebstrap's that are about itself, not about the progress. */
const uninteresting = /tempdir|signed-by|chosen format|chroot architecture|running --customize-hook|^(done|success)/;

interface BootstrapOptions {
  /** For mmdebstrap's own directory, which takes as much room as the root. In a user namespace it uses the system's: its files belong to others there. */
  readonly temporaryDirectory: string;
  readonly onProgress: (detail: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Starts mmdebstrap and hands its tar to `consume`. Throws `FarmError` `image.privilege`, `program.missing`, `program.failed`; when it
 * throws, or `signal` aborts, mmdebstrap has ended.
 */
export async function bootstrap<T>(recipe: Recipe, options: BootstrapOptions, consume: (tar: Readable) => Promise<T>): Promise<T> {
  await run('mmdebstrap', ['--version'], { signal: options.signal });
  if (recipe.base === 'busybox') await run('depmod', ['--version'], { signal: options.signal }); // kmod, which this root has not
  const mode = await chooseMode();
  const args = bootstrapArguments(recipe, mode);
  const temporary = mode === 'root' ? { TMPDIR: options.temporaryDirectory } : {};
  options.signal.throwIfAborted();
  // As root, mmdebstrap mounts the server's /dev/shm, /sys and more below its directory, and leaves them there when it is interrupted:
  // namespaces of its own end with it. In a user namespace it has those anyway. `detached`: when it fails, it sends SIGHUP to all of its group.
  const command = mode === 'root' ? ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'mmdebstrap'] : ['mmdebstrap'];
  const child = spawn(command[0] ?? '', [...command.slice(1), ...args], {
    env: { ...process.env, ...temporary, SOURCE_DATE_EPOCH: String(recipe.epoch), LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  // SIGKILL where all that it would clean up is in our directory; else SIGTERM, as Ctrl-C in a terminal does it.
  const stop = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, mode === 'root' ? 'SIGKILL' : 'SIGTERM');
  };
  options.signal.addEventListener('abort', stop, { once: true });
  const complaints: string[] = [];
  let partial = '';
  let isFull = false;
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (partial + chunk).split(/[\r\n]+/);
    partial = lines.pop() ?? '';
    for (const line of lines) {
      const note = /^I: (.*)/.exec(line)?.[1];
      isFull ||= saysNoRoom(line); // long before the last lines
      if (note === undefined) complaints.push(line);
      else if (!uninteresting.test(note)) options.onProgress(note);
    }
    complaints.splice(0, Math.max(0, complaints.length - quotedLines));
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      options.signal.removeEventListener('abort', stop);
      resolve(signal ?? String(code));
    });
  });
  const consumed = consume(child.stdout);
  consumed.catch(() => child.stdout.destroy()); // or mmdebstrap would wait for ever with a full pipe
  const [result, status] = await Promise.allSettled([consumed, ended]);
  options.signal.throwIfAborted();
  if (status.status === 'rejected') throw status.reason;
  // What is wrong with the tar is a consequence if mmdebstrap failed first, and the cause if its pipe was closed.
  if (result.status === 'rejected' && (result.reason instanceof FarmError || isSystemError(result.reason))) throw result.reason;
  if (status.value !== '0') {
    const kernels = complaints
      .find((line) => line.startsWith(kernelsMark))
      ?.slice(kernelsMark.length)
      .trim()
      .split(' ');
    if (kernels !== undefined) throw noSuchKernel(recipe.suite, recipe.kernel, kernels);
    if (isFull) complaints.push('No space left on device');
    const call = args.filter((arg) => !arg.includes('\n')).join(' ');
    throw new FarmError('program.failed', `mmdebstrap ended with ${status.value}:\n  ${complaints.join('\n  ')}`, `the call was: mmdebstrap ${call}`);
  }
  if (result.status === 'rejected') throw result.reason;
  return result.value;
}

/** How much of mmdebstrap's complaints is quoted when it fails. */
const quotedLines = 8;

function bootstrapArguments(recipe: Recipe, mode: 'root' | 'unshare'): string[] {
  const { base, distribution, suite, kernel } = recipe;
  const mirror = recipe.mirror ?? hostMirror(distribution, hostSources());
  return [
    `--mode=${mode}`,
    `--variant=${base === 'busybox' ? 'extract' : 'minbase'}`,
    '--format=tar',
    '--architectures=amd64',
    `--keyring=${keyringOf(recipe)}`,
    ...(recipe.packages.length === 0 ? [] : [`--include=${recipe.packages.join(',')}`]),
    '--aptopt=APT::Install-Recommends "false"',
    ...recipe.exclude.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
    ...(base === 'busybox' ? [`--setup-hook=${mergedUsr}`] : []),
    `--extract-hook=kernel='${kernel}'\n${kernelHook}`,
    // With nothing installed there are no customize hooks.
    `--${base === 'busybox' ? 'extract' : 'customize'}-hook=kernel='${kernel}'\nbase=${base}\nloaders='${loaderPackages(distribution).join(' ')}'\n${hook}`,
    suite,
    '-',
    ...sourceLines(distribution, suite, mirror),
  ];
}

/** Throws `image.keyring`: apt would say of every index that its signature cannot be verified. */
function keyringOf(recipe: Recipe): string {
  const { keyring, keyringPackage } = distributions[recipe.distribution];
  const path = recipe.keyring ?? keyring;
  if (existsSync(path)) return path;
  throw new FarmError(
    'image.keyring',
    `there is no ${path}, with which apt checks the packages of ${recipe.distribution}`,
    recipe.keyring === undefined
      ? `install ${keyringPackage}, on Debian 12 that of Debian 13; or name the file with keyring: in the recipe`
      : 'correct the recipe',
  );
}

function hostSources(): string[] {
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return '';
      throw error;
    }
  };
  let names: string[] = [];
  try {
    names = readdirSync('/etc/apt/sources.list.d').filter((name) => /\.(list|sources)$/.test(name));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
  return [read('/etc/apt/sources.list'), ...names.sort().map((name) => read(join('/etc/apt/sources.list.d', name)))];
}

/** Packages' scripts want to be root: as root in a chroot, else in a user namespace if this user may make one with more than one id. */
async function chooseMode(): Promise<'root' | 'unshare'> {
  if (process.geteuid?.() === 0) return 'root';
  try {
    await run('unshare', ['--user', '--map-auto', '--map-root-user', 'true']);
    return 'unshare';
  } catch (error) {
    throw new FarmError(
      'image.privilege',
      `an image is built by root or in a user namespace, and this user can make none (${sentence(error)})`,
      'run it with sudo; or apt-get install uidmap, and give the user a range of ids in /etc/subuid and /etc/subgid (subuid(5))',
      error,
    );
  }
}

// Writes a node's view of the farm's root to disk: what a server without overlays and tagged names needs a copy of, for each node.
import { chmodSync, chownSync, constants, copyFileSync, lchownSync, linkSync, lutimesSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { run } from '../../dist/base/processes.js';

/**
 * Writes all that `client` (`address`, `host`, `fqdn`) sees of `base` below `directory`, which must not exist: tags resolved, owners, modes,
 * device nodes, hard links and times as they are served. Only for root.
 */
export async function writeRoot(base, client, directory, signal) {
  const written = new Map();
  await write(Buffer.from(directory).toString('latin1'), base.object(base.root));

  async function write(path, object) {
    const bytes = Buffer.from(path, 'latin1'); // names are bytes, one character each
    const twin = written.get(object.id);
    if (twin !== undefined) return linkSync(twin, bytes);
    written.set(object.id, bytes);
    await put(bytes, object);
    if (object.kind === 'directory') {
      for (const { name, id } of object.directory.visible(client, 0)) await write(`${path}/${name}`, base.object(id));
      await setImmediate(undefined, { signal }); // lets Ctrl-C in
    }
    dress(bytes, object);
  }
}

async function put(path, { kind, target, content, device }) {
  switch (kind) {
    case 'directory':
      return mkdirSync(path);
    case 'symlink':
      return symlinkSync(Buffer.from(target, 'latin1'), path);
    case 'file':
      if (content.kind === 'bytes') return writeFileSync(path, content.bytes);
      return copyFileSync(content.path, path, constants.COPYFILE_FICLONE);
    case 'character':
    case 'block':
      return run('mknod', [path.toString(), kind === 'block' ? 'b' : 'c', String(device.major), String(device.minor)]);
    case 'fifo':
      return run('mkfifo', [path.toString()]);
    default:
      throw new Error(`${path}: a ${kind} cannot be written to disk`);
  }
}

/** The mode comes after the owner, whose change takes set-id bits away (chown(2)), and a directory's time after what is in it. */
function dress(path, { kind, uid, gid, mode, mtime }) {
  const time = mtime.seconds + mtime.nanoseconds / 1e9;
  if (kind === 'symlink') {
    lchownSync(path, uid, gid);
    lutimesSync(path, time, time);
    return;
  }
  chownSync(path, uid, gid);
  chmodSync(path, mode);
  utimesSync(path, time, time);
}

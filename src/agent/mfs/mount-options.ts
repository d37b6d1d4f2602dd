// How this machine's kernel mounts what its own agent relays: nfs(5). Why these: docs/decisions/mfs.md.

/** Pieces that a 512 MB machine can have some of in memory at once, on both ends. */
const pieces = 'rsize=131072,wsize=131072';
const common = `vers=3,proto=tcp,mountproto=tcp,nolock,nodev,${pieces},addr=127.0.0.1`;

/** Seconds for which a node may be told to keep names and attributes: the longest that NFS itself does by default. */
export const mfsCacheMax = 60;

/**
 * /mfs: nothing is kept here, all of it is as the node has it, at each call; and each write(2) has arrived when it returns (`noac` has `sync` in it). The
 * agent says EIO itself after 15 s; `soft` is for when it is dead. With `seconds`, names that there are, attributes and listings are kept so long: a walk of
 * names costs a call now and then instead of two for each name. That there is no such name is never kept, open(2) looks again, and writes arrive all the same.
 */
export function mfsOptions(seconds: number): string {
  const times = ['acregmin', 'acregmax', 'acdirmin', 'acdirmax'].map((name) => `${name}=${seconds}`);
  const kept = seconds === 0 ? 'noac,lookupcache=none,nordirplus' : `sync,lookupcache=positive,${times.join(',')}`;
  return `${common},${kept},soft,timeo=300,retrans=1,nosuid`;
}

/**
 * Roots of jobs: a program's files are kept, names and attributes for some seconds; open(2) looks again (close-to-open). An agent that is restarted
 * has three minutes before jobs hear of it.
 */
export const rootOptions = `${common},acregmin=1,acregmax=10,acdirmin=1,acdirmax=5,soft,timeo=600,retrans=2`;

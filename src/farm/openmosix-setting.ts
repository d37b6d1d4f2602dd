// `openmosix:` of farm.yaml: how a node's place in the cluster begins, in the words of openmosix.config (src/agent/openmosix-config.ts reads them).
import * as z from 'zod';

/** Each value is inherited by itself. */
export const openmosixShape = z.strictObject({
  migrate: z.boolean().optional(),
  block: z.boolean().optional(),
  mfs: z.boolean().optional(),
  /** Seconds. */
  mfs_cache: z.int().min(0).max(60).optional(),
  /** A Pentium III of 1 GHz has 10000. */
  speed: z
    .int()
    .min(1)
    .max(2 ** 32 - 1)
    .optional(),
  gateways: z.int().min(0).max(2).optional(),
  discover: z.boolean().optional(),
  home_lost: z.enum(['kill', 'restart']).optional(),
});

export type OpenmosixSetting = Readonly<z.output<typeof openmosixShape>>;

/** `said` has the nearest place first; each value comes from the nearest place that says it. */
export function inheritedOpenmosix(said: readonly OpenmosixSetting[]): OpenmosixSetting {
  return Object.assign({}, ...said.toReversed());
}

const yesNo = (value: boolean): string => (value ? 'yes' : 'no');

/** What openmosix.config says of it; nothing for what is not said. */
export function openmosixLines({
  migrate,
  block,
  mfs,
  mfs_cache: cache,
  speed,
  gateways,
  discover,
  home_lost: homeLost,
}: OpenmosixSetting): readonly { readonly key: string; readonly value: string }[] {
  const line = (key: string, value: string | number | undefined) => (value === undefined ? [] : [{ key, value: String(value) }]);
  return [
    ...line('MIGRATE', migrate === undefined ? undefined : yesNo(migrate)),
    ...line('BLOCK', block === undefined ? undefined : yesNo(block)),
    ...line('MFS', mfs === undefined ? undefined : yesNo(mfs)),
    ...line('MFSCACHE', cache),
    ...line('NODESPEED', speed),
    ...line('MOSGATES', gateways),
    ...line('AUTODISC', discover === undefined ? undefined : Number(discover)),
    ...line('HOMELOST', homeLost),
  ];
}

// What to say to a kernel package that a release has not: the nearest name, and those that there are.
import { FarmError } from '../base/errors.ts';
import { nearest } from '../farm/complaints.ts';

/** Packages that stand for the newest kernel of their kind have no digit behind `linux-image-`, except Ubuntu's of a series: `linux-image-generic-6.8`. */
const ofOneVersion = /^linux-image-[0-9]/;

export function noSuchKernel(suite: string, kernel: string, known: readonly string[]): FarmError {
  const packages = known.filter((name) => !/-(dbg|unsigned|template)(-|$)/.test(name));
  const kinds = packages.filter((name) => !ofOneVersion.test(name)).sort();
  const versions = packages.filter((name) => ofOneVersion.test(name)).sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  const [newest] = versions;
  const more = newest === undefined ? '' : `${kinds.length === 0 ? '' : '; and '}${versions.length} of one version each, such as ${newest}`;
  return new FarmError('image.kernel', `${suite} has no kernel package ${kernel}${nearest(kernel, packages)}`, `it has: ${kinds.join(', ')}${more}`);
}

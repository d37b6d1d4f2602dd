// The npm packages that farm runs with, from package-lock.json, and their licences as Debian's copyright file tells them.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { top } from './ready.mjs';

/** Which some depend on and Node.js never loads: bare-* are for another runtime, with binaries for every machine; uglify-js is for a tool of handlebars. */
const unused = /^node_modules\/(?:bare-[^/]+|uglify-js)$/;

/** Those that farm needs, by path; sorted. */
export function productionPackages() {
  const { packages } = JSON.parse(readFileSync(join(top, 'package-lock.json'), 'utf8'));
  return Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true && !unused.test(path))
    .map(([path, { version, license }]) => ({ path, version, license }))
    .sort((one, other) => (one.path < other.path ? -1 : 1));
}

/** The text of /usr/share/doc/farm/copyright. Debian has the Apache licence for everybody. */
export function copyright(own, ownLicense) {
  const parts = productionPackages().map((each) => {
    const text = each.license === 'Apache-2.0' ? 'On Debian systems its text is in /usr/share/common-licenses/Apache-2.0.' : licenceOf(each.path);
    return notice(each, `, in /usr/share/farm/${each.path}`, text);
  });
  return `farm, ${ownLicense}:\n\n${indented(own)}\n\nThe npm packages that it is installed with, of some of which /usr/share/farm/dist has copies:\n\n${parts.join('\n')}`;
}

/** What has to be told with bundles that have copies of code from these files: the licences of the packages that these are of. */
export function noticesOf(files) {
  const names = new Set(files.flatMap((file) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []));
  const packages = productionPackages().filter(({ path }) => names.delete(nameOf(path)));
  if (names.size > 0) throw new Error(`bundled, and in no list of what farm runs with: ${[...names].join(', ')}`);
  return `The files beside this one have copies of these npm packages:\n\n${packages.map((each) => notice(each, '', licenceOf(each.path))).join('\n')}`;
}

function notice({ path, version, license }, where, text) {
  return `${nameOf(path)} ${version}, ${license}${where}:\n\n${indented(text)}\n`;
}

function nameOf(path) {
  return path.replace(/^.*node_modules\//, '');
}

function indented(text) {
  return text.trim().replace(/^/gm, '  ');
}

function licenceOf(path) {
  const file = readdirSync(join(top, path)).find((each) => /^(?:licen[cs]e|copying)(?:\.|$)/i.test(each));
  if (file !== undefined) return readFileSync(join(top, path, file), 'utf8');
  const { author, license } = JSON.parse(readFileSync(join(top, path, 'package.json'), 'utf8'));
  const by = typeof author === 'string' ? author : author?.name;
  if (by === undefined) throw new Error(`nothing says who wrote ${nameOf(path)}`);
  return `Copyright ${by}. Its authors give it under the ${license} licence, without the text.`;
}

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
  const parts = productionPackages().map(({ path, version, license }) => {
    const name = path.replace(/^.*node_modules\//, '');
    const text = license === 'Apache-2.0' ? 'On Debian systems its text is in /usr/share/common-licenses/Apache-2.0.' : licenceOf(path, name);
    return `${name} ${version}, ${license}, in /usr/share/farm/${path}:\n\n${text.trim().replace(/^/gm, '  ')}\n`;
  });
  return `farm, ${ownLicense}:\n\n${own.trim().replace(/^/gm, '  ')}\n\nThe npm packages that it is installed with:\n\n${parts.join('\n')}`;
}

function licenceOf(path, name) {
  const file = readdirSync(join(top, path)).find((each) => /^(?:licen[cs]e|copying)(?:\.|$)/i.test(each));
  if (file !== undefined) return readFileSync(join(top, path, file), 'utf8');
  const { author, license } = JSON.parse(readFileSync(join(top, path, 'package.json'), 'utf8'));
  const by = typeof author === 'string' ? author : author?.name;
  if (by === undefined) throw new Error(`nothing says who wrote ${name}`);
  return `Copyright ${by}. Its authors give it under the ${license} licence, without the text.`;
}

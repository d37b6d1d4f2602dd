// `*` and `?` in the host names of tags, as in a shell.

/** Linear: no pattern can make it slow. */
export function globMatches(pattern: string, text: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let i = 0; i < text.length; ) {
    const wanted = pattern[at];
    if (wanted === '*') {
      star = at++;
      resume = i;
    } else if (wanted === '?' || wanted === text[i]) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}

/** How many characters a pattern asks for by name. */
export function literals(pattern: string): number {
  return pattern.replace(/[*?]/g, '').length;
}

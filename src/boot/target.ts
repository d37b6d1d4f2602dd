// What a request line asks for (RFC 9112 3.2): the path, decoded and free of `.`, `..` and doubled slashes, and the query.

export interface RequestTarget {
  /** Begins with `/`; ends with one only if the client's did. Unicode, so `%` and blanks are themselves. */
  readonly path: string;
  readonly query: URLSearchParams;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Undefined for what is no path: `*`, NUL, bytes that are not UTF-8, or one that climbs above the root.
 * `//` is taken for `/` here because UEFI clients follow no redirect to the tidy name. A `%` without two hex digits stands for itself.
 */
export function requestTarget(url: string): RequestTarget | undefined {
  const local = url.replace(/^https?:\/\/[^/?#]*/i, ''); // the absolute form, which every server must take (RFC 9112 3.2.2)
  const [wanted = ''] = local.split('#', 1);
  const mark = wanted.indexOf('?');
  const encoded = mark === -1 ? wanted : wanted.slice(0, mark);
  const query = new URLSearchParams(mark === -1 ? '' : wanted.slice(mark + 1));
  if (encoded === '' ? local === url : !encoded.startsWith('/')) return undefined;
  const path = decoded(encoded);
  if (path === undefined || path.includes('\0')) return undefined;
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') {
      if (parts.pop() === undefined) return undefined;
    } else if (part !== '' && part !== '.') {
      parts.push(part);
    }
  }
  const tail = parts.length > 0 && /\/\.{0,2}$/.test(path) ? '/' : '';
  return { path: `/${parts.join('/')}${tail}`, query };
}

/** Node hands each byte of the request line as a character; some clients send UTF-8 without encoding it. */
function decoded(text: string): string | undefined {
  const bytes = text.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  try {
    return utf8.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return undefined; // the only error it has: not UTF-8
  }
}

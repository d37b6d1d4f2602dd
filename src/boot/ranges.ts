// Conditional and range requests: RFC 9110 13 and 14, for whole representations and single byte ranges.

export interface ConditionalHeaders {
  readonly 'if-none-match'?: string | undefined;
  readonly 'if-modified-since'?: string | undefined;
  readonly 'if-range'?: string | undefined;
  readonly range?: string | undefined;
}

/** What is served under one name at one time. */
export interface Representation {
  /** Bytes. */
  readonly size: number;
  /** A strong validator with its quotes. */
  readonly etag: string;
  /** Milliseconds since the epoch. */
  readonly modified: number | undefined;
}

export type Selection =
  | { readonly status: 200 }
  | { readonly status: 206; readonly first: number; readonly last: number }
  | { readonly status: 304 }
  | { readonly status: 416 };

/** What a request with these headers is to get of `of`, in the order of RFC 9110 13.2.2. Conditions are for GET and HEAD, ranges for GET. */
export function select(method: string | undefined, headers: ConditionalHeaders, of: Representation): Selection {
  if (method !== 'GET' && method !== 'HEAD') return { status: 200 };
  const noneMatch = headers['if-none-match'];
  if (noneMatch !== undefined) {
    if (matchesAny(noneMatch, of.etag)) return { status: 304 };
  } else if (notModifiedSince(headers['if-modified-since'], of.modified)) {
    return { status: 304 };
  }
  const { range } = headers;
  return range === undefined || method === 'HEAD' || !mayResume(headers['if-range'], of) ? { status: 200 } : selectRange(range, of.size);
}

function matchesAny(list: string, etag: string): boolean {
  if (list.trim() === '*') return true;
  return list.split(',').some((item) => item.trim().replace(/^W\//, '') === etag);
}

/** HTTP dates have whole seconds. */
function notModifiedSince(date: string | undefined, modified: number | undefined): boolean {
  if (date === undefined || modified === undefined) return false;
  // biome-ignore lint/style/noRestrictedGlobals: Date.parse reads text, not the clock
  return Math.floor(modified / 1000) * 1000 <= Date.parse(date); // false for NaN
}

/** If-Range holds what the client has the beginning of; if that has changed it gets the whole (RFC 9110 13.1.5). */
function mayResume(condition: string | undefined, of: Representation): boolean {
  if (condition === undefined || condition.trim() === of.etag) return true;
  // biome-ignore lint/style/noRestrictedGlobals: Date.parse reads text, not the clock
  return of.modified !== undefined && Date.parse(condition) === Math.floor(of.modified / 1000) * 1000;
}

/** A header that is not understood, or that has several ranges, is ignored, as RFC 9110 14.2 allows. */
function selectRange(range: string, size: number): Selection {
  const match = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(range);
  const [from, to] = [match?.[1] ?? '', match?.[2] ?? ''];
  if (from === '' && to === '') return { status: 200 };
  if (from === '') {
    const length = Math.min(Number(to), size);
    return length === 0 ? { status: 416 } : { status: 206, first: size - length, last: size - 1 };
  }
  const first = Number(from);
  if (to !== '' && Number(to) < first) return { status: 200 };
  if (first >= size) return { status: 416 };
  return { status: 206, first, last: to === '' ? size - 1 : Math.min(Number(to), size - 1) };
}

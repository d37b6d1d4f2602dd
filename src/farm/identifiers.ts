// Client ids, relay ids and GUIDs as people write them.

/** Option 61 in hex, or `text:` before text; RFC 2132 9.14 wants two bytes at least. */
export function parseClientId(text: string): Buffer | undefined {
  const bytes = text.startsWith('text:') ? Buffer.from(text.slice(5)) : hexBytes(text.replace(/^hex:/, ''));
  return bytes !== undefined && bytes.length >= 2 && bytes.length <= 255 ? bytes : undefined;
}

/** What a relay puts into option 82: text, or `hex:` before hex digits. */
export function parseRelayId(text: string): Buffer | undefined {
  const bytes = text.startsWith('hex:') ? hexBytes(text.slice(4)) : Buffer.from(text);
  return bytes !== undefined && bytes.length >= 1 && bytes.length <= 255 ? bytes : undefined;
}

function hexBytes(text: string): Buffer | undefined {
  const digits = text.trim().split(/[:-]/).join('');
  return /^([0-9a-f]{2})+$/i.test(digits) ? Buffer.from(digits, 'hex') : undefined;
}

/** Lower case with hyphens. Boards without a GUID send all zeros or all ones, which would make one machine of them all. */
export function parseUuid(text: string): string | undefined {
  const digits = text.trim().toLowerCase().replaceAll('-', '');
  if (!/^[0-9a-f]{32}$/.test(digits) || /^(0{32}|f{32})$/.test(digits)) return undefined;
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Printable bytes as text, others as `hex:...`. */
export function bytesText(bytes: Buffer): string {
  const text = bytes.toString('latin1');
  return /^[\x20-\x7e]+$/.test(text) && !text.startsWith('hex:') ? text : `hex:${bytes.toString('hex')}`;
}

/** Hex with colons, or `text:` before what can be printed. */
export function clientIdText(bytes: Buffer): string {
  const text = bytes.toString('latin1');
  return /^[\x20-\x7e]+$/.test(text) ? `text:${text}` : bytes.toString('hex').replace(/..(?=.)/g, '$&:');
}

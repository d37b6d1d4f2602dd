// Extended attributes of a file, as a tar has them in star(1)'s SCHILY.xattr records: bytes, for a file capability is binary.

/** By name, `security.capability` -> bytes. */
export type ExtendedAttributes = ReadonlyMap<string, Buffer>;

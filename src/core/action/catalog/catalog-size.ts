/** Most bytes of all files of a catalog together, in UTF-8: they are parsed in one turn of the thread that answers checks. */
export const MAX_CATALOG_BYTES = 4 * 1024 * 1024;

/** The first files of a catalog, as many as are within the bound together, and the file that exceeds it; `null` if all are within it. */
export function catalogWithinBound<File extends { readonly text: string }>(
  files: readonly File[],
): { readonly within: readonly File[]; readonly beyond: File | null } {
  let bytes = 0;
  for (const [index, file] of files.entries()) {
    bytes += Buffer.byteLength(file.text);
    if (bytes > MAX_CATALOG_BYTES) return { within: files.slice(0, index), beyond: file };
  }
  return { within: files, beyond: null };
}

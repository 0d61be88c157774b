/**
 * What `script/build-agent` put in beside the program: the runtime pack, and the licence texts of all that is in it.
 * @returns null in a checkout
 */
export const embeddedFile = (ending: '.zst' | '.txt'): Blob | null =>
  Bun.embeddedFiles.find(file => 'name' in file && String(file.name).endsWith(ending)) ?? null

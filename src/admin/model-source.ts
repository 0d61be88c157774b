import { resolve } from 'node:path'

/**
 * What a person wrote as a model's source, as the server takes it: a URL as it is, `hf:ORG/REPO/FILE` as the address
 * where Hugging Face serves that file, `external:MODEL_ID` as it is, and anything else as an absolute path.
 * @returns the source, or a text that says what is wrong
 */
export function modelSource(
  text: string,
  workingDir: string,
): { readonly source: string } | { readonly problem: string } {
  if (text.startsWith('external:')) return { source: text }
  if (!text.startsWith('hf:'))
    return { source: /^https?:\/\//i.test(text) ? text : resolve(workingDir, text) }
  const [owner, repository, ...file] = text.slice('hf:'.length).split('/')
  const parts = [owner, repository, ...file]
  if (file.length === 0 || !parts.every(part => part !== undefined && /^[\w.+-]+$/.test(part)))
    return { problem: `${text} must look like hf:ORG/REPO/FILE.gguf; the file has to be named` }
  return { source: `https://huggingface.co/${owner}/${repository}/resolve/main/${file.join('/')}` }
}

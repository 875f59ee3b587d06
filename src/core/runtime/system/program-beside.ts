import { fileURLToPath } from 'node:url';

/**
 * The path of the program of a thread or of a process: beside the module that starts it, with its extension (`.ts` in the sources, `.js` in the build).
 *
 * @param module `import.meta.url` of that module
 * @param name of the program without extension, such as `log-worker`
 */
export function programBeside(module: string, name: string): string {
  const extension = module.slice(module.lastIndexOf('.'));
  return fileURLToPath(new URL(`./${name}${extension}`, module).href);
}

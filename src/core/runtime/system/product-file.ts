import { fileURLToPath } from 'node:url';

const parts = fileURLToPath(import.meta.url).split('/');
/** The last `src` or `dist` of the path to this code: what lies beside it is shipped with the code. */
const code = Math.max(parts.lastIndexOf('src'), parts.lastIndexOf('dist'));

/**
 * The path of a file or folder that is shipped beside the code, such as `proto` or `deploy/envoy/envoy.yaml`, from the root of the package. The
 * same from the sources and from the build, however deep this file lies in either.
 */
export const productFile = (path: string): string => [...parts.slice(0, code), path].join('/');

/** The path of a file that the build writes into `dist/`. If the sources run unbuilt, it names a file of `src/` that does not exist. */
export const builtFile = (path: string): string => [...parts.slice(0, code + 1), path].join('/');

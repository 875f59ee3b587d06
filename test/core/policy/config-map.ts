import { mkdir, mkdtemp, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

/**
 * Mounts a ConfigMap at a folder, or swaps the mounted one, with the steps of the kubelet: files are symbolic links into
 * `..data`, itself a symbolic link to a versioned folder, which is replaced by a rename; then missing links are created, and
 * dangling links and the former version are removed.
 *
 * @see https://github.com/kubernetes/kubernetes/blob/master/pkg/volume/util/atomic_writer.go
 */
export async function swapConfigMap(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(folder, { recursive: true });
  const data = join(folder, '..data');
  const before = await readlink(data).catch(() => null);
  // Not `join`, which would treat the two dots as the parent folder.
  const version = basename(await mkdtemp(`${folder}/..version-`));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, version, name), text);
  await symlink(version, join(folder, '..data_tmp'));
  await rename(join(folder, '..data_tmp'), data);
  if (before === null) {
    for (const name of Object.keys(files)) await symlink(`..data/${name}`, join(folder, name));
    return;
  }
  const [had, has] = [await readdir(join(folder, before)), Object.keys(files)];
  for (const name of has.filter((one) => !had.includes(one))) await symlink(`..data/${name}`, join(folder, name));
  for (const name of had.filter((one) => !has.includes(one))) await rm(join(folder, name));
  await rm(join(folder, before), { recursive: true });
}

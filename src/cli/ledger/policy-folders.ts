import { readPolicySource, type PolicySource } from '../../core/policy/loading/source.ts';
import { taskRefusal, type CommandRefusal } from '../task/task-source.ts';

/** The content of policy folders, whose text is used if a recorded set has its hash. */
export async function sourcesIn(folders: readonly string[]): Promise<readonly PolicySource[] | CommandRefusal> {
  const sources: PolicySource[] = [];
  for (const folder of folders) {
    const source = await readPolicySource(folder);
    if ('unreadable' in source)
      return taskRefusal(`the policy folder \`${folder}\` could not be read: ${source.unreadable}`);
    if ('findings' in source) {
      const [{ file, message } = { file: folder, message: 'it cannot be read' }] = source.findings;
      return taskRefusal(`${file}: ${message}`);
    }
    sources.push(source);
  }
  return sources;
}

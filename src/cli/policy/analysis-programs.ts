import type { Problem } from '../../core/runtime/problem.ts';
import { analysisPrograms } from '../../tools/policy/analyze/programs.ts';
import type { AnalysisPrograms } from '../../tools/policy/analyze/programs.ts';
import type { CommandIo } from '../command.ts';
import { cacheFolderOf } from '../dev/domain.ts';

/** The programs of an analysis for a command: in the folder of `--engine`, or where they are by default. */
export const programsFor = (
  engine: string | undefined,
  io: Pick<CommandIo, 'environment'>,
): Promise<AnalysisPrograms | Problem> =>
  analysisPrograms({
    folder: engine ?? null,
    cacheFolder: cacheFolderOf(io),
    path: io.environment['PATH'] ?? '',
  });

import { isPgarkError, PgarkError } from "../errors.ts";
import type { Session } from "../postgres/connection.ts";
import { readRedoPosition } from "../postgres/redo-position.ts";
import type { ServerInfo } from "../postgres/server-info.ts";
import { encodeBegunRecord } from "../repository/begun-record.ts";
import { backupBeatMs, backupSilenceMs, Heartbeat } from "../repository/heartbeat.ts";
import { aliveFolder, backupLabel, begunKey } from "../repository/layout.ts";
import type { Repository } from "../repository/repository.ts";
import type { BackupOptions } from "./backup-types.ts";

/** A label that is this backup's alone, and the signs of life that go with it. */
export interface ClaimedLabel {
  readonly label: string;
  readonly heartbeat: Heartbeat;
}

/**
 * A label of one's own: the first to create its marker has it. The marker also tells `prune` that somebody is at work, and
 * which WAL the backup may need: it is written before backup mode begins, with a position that lies before where that begins.
 */
export async function claimLabel(
  repository: Repository,
  session: Session,
  server: ServerInfo,
  options: BackupOptions,
  stop: AbortController,
): Promise<ClaimedLabel> {
  const { store, cluster } = repository;
  const { host, now, log } = options;
  const { signal } = stop;
  const { time: begun, ...walFrom } = await readRedoPosition(session);
  for (let attempt = 0; ; attempt++) {
    const label = backupLabel(begun, attempt);
    const key = begunKey(cluster, server.identity, label);
    try {
      await store.put(key, encodeBegunRecord({ label, host, begun, walFrom }), { ifAbsent: true, signal });
    } catch (error) {
      if (!isPgarkError(error, "exists") || attempt === 100) throw error;
      continue;
    }
    const heartbeat = new Heartbeat({
      store,
      folder: aliveFolder(cluster, server.identity, label),
      host,
      everyMs: backupBeatMs,
      silenceMs: backupSilenceMs,
      onLost: () => stop.abort(outOfTouch(label)),
      now,
      log,
    });
    return { label, heartbeat };
  }
}

function outOfTouch(label: string): PgarkError {
  return new PgarkError("unavailable", "nothing could be written to the repository for an hour", {
    operation: "take base backup",
    object: label,
    hint: "others may take this backup for abandoned; when the repository answers again, take it again",
  });
}

-- mailbox_get: that of a device
SELECT org, device, received, undecoded, partial FROM mailbox WHERE org = :org AND device = :device;

-- mailbox_put: in the place of what was there
INSERT INTO mailbox (org, device, received, undecoded, partial) VALUES (:org, :device, :received, :undecoded, :partial)
ON CONFLICT (org, device) DO UPDATE SET received = :received, undecoded = :undecoded, partial = :partial;

-- mailbox_move: with its device to another organization
UPDATE mailbox SET org = :to WHERE org = :org AND device = :device;

-- mailbox_forget: with its device
DELETE FROM mailbox WHERE org = :org AND device = :device;

-- chunk_keep: in the place of what was there
INSERT INTO chunk (org, device, slot, at, data) VALUES (:org, :device, :slot, :at, :data)
ON CONFLICT (org, device, slot) DO UPDATE SET at = :at, data = :data;

-- chunk_kept: those of a device, as they came
SELECT at, slot, data FROM chunk WHERE org = :org AND device = :device;

-- chunk_move: with their device to another organization
UPDATE chunk SET org = :to WHERE org = :org AND device = :device;

-- chunk_forget: with their device
DELETE FROM chunk WHERE org = :org AND device = :device;

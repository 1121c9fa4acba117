-- lease_get: who holds it, and its beat
SELECT holder, beat FROM lease WHERE name = :name;

-- lease_beat: take or keep it, over a known beat
INSERT INTO lease (name, holder, beat) VALUES (:name, :holder, :beat)
ON CONFLICT (name) DO UPDATE SET holder = :holder, beat = :beat WHERE lease.beat = :known RETURNING beat;

-- Health of a CrawlJob for Argo CD, from its conditions alone.
local health = {status = "Progressing", message = "the operator has not seen this job yet"}
local found = {}
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    found[condition.type] = condition
  end
end

local function holds(kind)
  return found[kind] ~= nil and found[kind].status == "True"
end

if holds("Stalled") then
  health.status = "Degraded"
  health.message = found.Stalled.message
elseif holds("Reconciling") then
  health.message = found.Reconciling.message
  if obj.status.phase == "Suspended" or obj.status.phase == "Delayed" then
    health.status = "Suspended"
  end
elseif holds("Complete") then
  health.status = "Healthy"
  health.message = found.Complete.message
elseif holds("Failed") then
  -- Cancelled: a person wanted it so.
  health.status = "Healthy"
  health.message = found.Failed.message
end
return health

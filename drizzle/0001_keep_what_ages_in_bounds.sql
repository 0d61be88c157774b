CREATE INDEX "agent_history_by_age" ON "agent_history" USING btree ("timestamp");--> statement-breakpoint
CREATE INDEX "requests_by_age" ON "requests" USING btree ("ended_at");
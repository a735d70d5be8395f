-- The schema of the compose file and the sample configuration: a small to-do application.
create table workspaces (
    id bigint generated always as identity primary key,
    name text not null
);

create table todos (
    id bigint generated always as identity primary key,
    workspace_id bigint not null references workspaces,
    assignee_id bigint,
    title text not null,
    done boolean not null default false
);

-- Updates and deletes then carry the whole old row, so a row that moves is removed from the channel it leaves.
alter table todos replica identity full;

insert into workspaces (name) values ('Home'), ('Office');
